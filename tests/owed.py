"""What receivers are owed: deliveries that wait or are under way, in whatever lane."""

from service.stores import keys
from service.stores.commands import Commands


async def owed_deliveries(commands: Commands) -> list[str]:
    """Ids of the deliveries that have not ended, by lane and then by time."""
    lanes = [raw.decode() for raw in await commands("ZRANGE", keys.due("deliver"), 0, -1)]
    held = [await commands("ZRANGE", key(lane), 0, -1) for lane in lanes for key in (keys.lane_due, keys.lane_taken)]
    return [raw.decode() for ids in held for raw in ids]
