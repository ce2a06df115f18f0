"""The order in which submissions are taken out of the queue, one promise at a time."""

from collections import Counter

import pytest

from service.domain.capacity import Capacity
from service.domain.predictions import State
from service.stores.submission_queue import Verdict
from tests.integration.stores.stack import Stack
from tests.integration.stores.waiting_room import WaitingRoom

ONE = Capacity(concurrency=1)


async def full(stack: Stack, capacity: Capacity = ONE, **weights: int) -> WaitingRoom:
    """An account whose places are all taken, and tenants of these weights (`first` took the places)."""
    room = WaitingRoom(stack, capacity)
    await room.add_tenants({"first": 1, **weights})
    for taken in await room.submit_many(capacity.concurrency or 0, "first"):
        assert room.known[taken].state is State.SUBMITTING
    return room


def tenants(served: list[str]) -> str:
    """Whose turn it was, by the first letter of each name."""
    return "".join(one[0] for one in served)


@pytest.mark.parametrize("weight", [1, 3, 20])
async def test_a_burst_of_1000_delays_another_tenants_single_submission_by_one_slot_at_most(
    stack: Stack, weight: int
) -> None:
    """Whoever comes for the first time, in the midst of it, or again after a rest."""
    room = await full(stack, a=weight, b=1)
    await room.submit_many(1000, "a")
    await room.submit("b-1", "b")
    await room.complete("first-00000")
    assert "b-1" in await room.serve(2)
    await room.serve(150)
    await room.submit("b-2", "b")
    assert "b-2" in await room.serve(2)


async def test_a_burst_of_one_class_does_not_delay_who_comes_to_another(stack: Stack) -> None:
    """Images are served thirty times as often as videos: who comes with a video is behind one of each other tenant."""
    room = await full(stack, Capacity(1, {"video": 2, "image": 60}), burst=1, images=1, late=1)
    await room.submit_many(100, "burst", "video")
    await room.submit_many(400, "images", "image")
    await room.complete("first-00000")
    for _ in range(5):
        room.clock.advance(61)
        while leased := await room.lease(1):
            await room.complete(leased[0])
    await room.submit_many(300, "late", "image")
    single = (await room.submit("late-video", "late", "video")).id
    room.clock.advance(61)
    served: list[str] = []
    while leased := await room.lease(1):
        await room.complete(leased[0])
        served += leased
    assert single in [one for one in served if room.known[one].model_class == "video"]
    counted = Counter(one[0] for one in served if room.known[one].model_class == "image")
    assert abs(counted["i"] - counted["l"]) <= 1, counted


async def test_a_class_that_was_held_up_has_no_credit(stack: Stack) -> None:
    """Once it is not any more, its submissions go on beside the others', not before them all."""
    room = await full(stack, Capacity(1, {"video": 20}), videos=1, images=1)
    await room.submit_many(100, "videos", "video")
    await room.submit_many(100, "images", "image")
    await room.complete("first-00000")
    await room.serve(90)
    room.clock.advance(61)
    assert 3 <= tenants(await room.serve(8)).count("i") <= 5


async def test_both_classes_of_a_tenant_share_its_turns(stack: Stack) -> None:
    """While only slots are short, who asks for videos and images gets no more than others, in the order they came."""
    room = await full(stack, a=1, b=1)
    for _ in range(10):
        await room.submit_many(2, "a", "video")
        await room.submit_many(2, "a", "image")
        room.clock.advance(1)
    await room.submit_many(40, "b", "image")
    await room.complete("first-00000")
    served = await room.serve(20)
    assert tenants(served) == "ab" * 10
    assert [one for one in served if one[0] == "a"] == [one for one in room.known if one[0] == "a"][:10]


class TestPuttingBack:
    """What the upstream refused for want of capacity has not had its turn."""

    async def test_it_goes_first_and_its_tenant_loses_nothing(self, stack: Stack) -> None:
        """The order afterwards is the one before."""
        room = await full(stack, a=1, b=1)
        await room.submit_many(3, "a")
        await room.submit_many(3, "b")
        await room.complete("first-00000")
        (refused,) = await room.lease(1)
        await room.refuse(refused)
        assert tenants(await room.serve(6)) == "ababab"

    async def test_its_tenant_has_no_credit_for_the_time_it_was_away(self, stack: Stack) -> None:
        """What its tenant submitted meanwhile takes turns with the others'."""
        room = await full(stack, Capacity(2), a=1, b=1)
        await room.submit("a-first", "a")
        await room.submit_many(100, "b")
        await room.complete("first-00000")
        assert await room.lease(1) == ["a-first"]
        await room.complete("first-00001")
        await room.serve(40)
        room.clock.advance(1)
        await room.submit_many(20, "a")
        await room.refuse("a-first")
        served = await room.serve(9)
        assert served[0] == "a-first"
        assert tenants(served).count("a") <= 6

    async def test_who_comes_after_it_has_no_credit_either(self, stack: Stack) -> None:
        """A turn that is made up for does not turn back the clock by which newcomers begin."""
        room = await full(stack, Capacity(2), a=1, b=1, c=1)
        await room.submit("a-first", "a")
        await room.submit_many(100, "b")
        await room.complete("first-00000")
        assert await room.lease(1) == ["a-first"]
        await room.complete("first-00001")
        await room.serve(40)
        await room.refuse("a-first")
        assert await room.serve(1) == ["a-first"]
        await room.submit_many(20, "c")
        assert 4 <= tenants(await room.serve(10)).count("b") <= 6


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


class TestStarts:
    """How many were sent in the last minute."""

    async def test_one_canceled_while_it_is_sent_counts_from_when_that_is_over(self, stack: Stack) -> None:
        """The upstream may get it at any moment until then."""
        room = WaitingRoom(stack, Capacity(None, {"video": 1}))
        await room.add_tenants({"a": 1})
        await room.submit("sent", "a")
        await room.submit("next", "a")
        room.clock.advance(1)
        await room.cancel("sent")
        room.clock.advance(30)
        await room.confirm("sent")
        room.clock.advance(60)
        leased = await room.queue.lease(1)
        assert (leased.ids, leased.next_due_s) == ((), 0.1)
        room.clock.advance(0.1)
        assert await room.lease(1) == ["next"]

    async def test_one_that_is_sent_again_counts_twice(self, stack: Stack) -> None:
        """The upstream has seen it twice."""
        room = WaitingRoom(stack, Capacity(None, {"video": 2}))
        await room.add_tenants({"a": 1})
        await room.submit("early", "a")
        await room.refuse("early")
        await room.submit("late", "a")
        assert await room.lease(2) == ["early"]

    async def test_none_is_remembered_where_nobody_limits_them(self, stack: Stack) -> None:
        """An account that is busy for days does not fill Redis."""
        room = await full(stack, a=1)
        await room.submit_many(5, "a")
        await room.complete("first-00000")
        for _ in range(5):
            await room.serve(1)
            room.clock.advance(61)
        assert await stack.redis.zcard("bw:starts:video") == 0


class TestRaisedLimits:
    """A limit that was lowered after a 429 goes up by one each minute."""

    @pytest.mark.parametrize("verdict", ["concurrency", "rate"])
    async def test_the_queue_is_looked_at_when_it_does(self, stack: Stack, verdict: Verdict) -> None:
        """Though nothing ends, and no start is forgotten."""
        capacity = Capacity(10, {"video": 10})
        room = WaitingRoom(stack, capacity)
        await room.add_tenants({"a": 1})
        for running in await room.submit_many(9, "a"):
            await room.confirm(running)
        await room.submit("refused", "a")
        await room.refuse("refused", verdict)
        room.clock.advance(20)
        leased = await room.queue.lease(5)
        assert (leased.ids, leased.next_due_s) == ((), 40.0)


async def _state(stack: Stack, prediction_id: str) -> State:
    """Where a prediction stands."""
    prediction = await stack.predictions.load(prediction_id)
    assert prediction is not None
    return prediction.state
