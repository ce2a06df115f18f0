"""What is looked at while submissions wait for an account that allows too little, and afterwards."""

from service.domain.errors import StoreUnavailable
from service.resources import Resources
from service.stores import keys


async def nobody_waits(resources: Resources) -> bool:
    """Whether every submission has been taken out of the queue; not known while Redis is away."""
    try:
        return (await resources.schedule.owed("submit")).items == 0
    except StoreUnavailable:
        return False


async def no_place_is_taken(resources: Resources) -> None:
    """The account's queue is empty, of everything, and none of its places is taken, now that all has ended."""
    assert await resources.commands("KEYS", f"{keys.WAITING_PREFIX}*") == []
    assert await resources.commands("ZCARD", keys.due("submit")) == 0
    assert await resources.commands("ZCARD", keys.OPEN) == 0
