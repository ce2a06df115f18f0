"""How a receiver has been doing: what the attempts at its deliveries have left behind."""

from dataclasses import dataclass
from typing import Literal

from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands


@dataclass(frozen=True, slots=True)
class Health:
    """A receiver's health; times in unix ms, 0 for never.

    `delivered` and `failed` count attempts since the last change of the endpoint, or in the 30 days after the last one.
    An open breaker sends nothing until `open_until_ms`; half open, one delivery at a time tries. `failure` is the last
    one in words. `pending` deliveries wait or are under way, `dead` ones were given up.
    """

    breaker: Literal["closed", "open", "half_open"]
    open_until_ms: int
    delivered: int
    failed: int
    well_at_ms: int
    failed_at_ms: int
    failing_since_ms: int
    failure: str
    pending: int
    dead: int


class LaneHealth:
    """The health of lanes. Raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def of(self, lane_id: str, now_ms: int) -> Health:
        """One lane's, also of one that nothing was ever sent by."""
        kept = {
            name.decode(): value.decode()
            for name, value in pairs(await self._commands("HGETALL", keys.lane(lane_id))).items()
        }
        counts = [
            int(await self._commands("ZCARD", key))
            for key in (keys.lane_due(lane_id), keys.lane_taken(lane_id), keys.lane_dead(lane_id))
        ]
        open_until_ms = int(kept.get("open_until", 0))
        return Health(
            breaker="closed" if not open_until_ms else "open" if open_until_ms > now_ms else "half_open",
            open_until_ms=open_until_ms,
            delivered=int(kept.get("delivered", 0)),
            failed=int(kept.get("failed", 0)),
            well_at_ms=int(kept.get("well_at", 0)),
            failed_at_ms=int(kept.get("failed_at", 0)),
            failing_since_ms=int(kept.get("failing_since", 0)),
            failure=kept.get("failure", ""),
            pending=counts[0] + counts[1],
            dead=counts[2],
        )
