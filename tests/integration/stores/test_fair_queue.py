"""The order in which submissions are taken out of the queue, one promise at a time."""

from service.domain.capacity import Capacity
from service.domain.predictions import State
from tests.integration.stores.stack import Stack
from tests.integration.stores.waiting_room import WaitingRoom

ONE = Capacity(concurrency=1)


class TestWaitingForTooLong:
    """One that is named to be ended."""

    async def test_it_is_never_taken_as_well(self, stack: Stack) -> None:
        """It comes out once, queued still, although there is a place; and so it does when it is named again."""
        room = WaitingRoom(stack, ONE, max_wait_s=60)
        await room.add_tenants({"a": 1})
        await room.submit("running", "a")
        await room.submit("late", "a")
        room.clock.advance(61)
        await room.submit("in-time", "a")
        await room.complete("running")
        assert list((await room.queue.lease(10)).ids) == ["late", "in-time"]
        assert [await _state(stack, one) for one in ("late", "in-time")] == [State.QUEUED, State.SUBMITTING]
        room.clock.advance(5)
        assert (await room.queue.lease(10)).ids == ()
        room.clock.advance(6)
        assert (await room.queue.lease(10)).ids == ("late",)
        await room.expire("late")
        assert await stack.due("submit") == {}


async def _state(stack: Stack, prediction_id: str) -> State:
    """Where a prediction stands."""
    prediction = await stack.predictions.load(prediction_id)
    assert prediction is not None
    return prediction.state
