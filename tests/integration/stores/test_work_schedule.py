"""Due sets are leased, never lost, and wake the workers through arq once a slot."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from arq.constants import job_key_prefix
from arq.jobs import Job
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json
from redis.asyncio import Redis

from service.stores.work_schedule import SLOT_MS, Owed
from tests.fault_proxy import FaultProxy
from tests.integration.stores.stack import START_MS, Stack, open_stack
from tests.waiting import wait_until

DUE = "bw:due:poll"


async def put(stack: Stack, **due_in_s: float) -> None:
    """Have items fall due, in seconds from now."""
    await stack.redis.zadd(DUE, {name: stack.clock.now_ms + round(s * 1000) for name, s in due_in_s.items()})


async def enqueued(stack: Stack) -> dict[str, int]:
    """The wake-ups arq holds: job id → time in ms, once all of them are written."""
    await stack.schedule.aclose()
    return {raw.decode(): int(score) for raw, score in await stack.redis.zrange("arq:queue", 0, -1, withscores=True)}


async def test_a_lease_takes_only_what_is_due(stack: Stack) -> None:
    """What falls due later is left alone, and the lease says when it does."""
    await put(stack, overdue=-5, now=0, later=0.001)
    leased = await stack.schedule.lease("poll", 10, 20.0)
    assert leased.ids == ("overdue", "now")
    assert leased.next_due_s == pytest.approx(0.001)
    assert (await stack.due("poll"))["later"] == START_MS + 1


async def test_a_lease_takes_the_oldest_up_to_its_limit(stack: Stack) -> None:
    """With more due than wanted, who has waited longest goes first."""
    await put(stack, c=-1, a=-3, d=0, b=-2)
    assert (await stack.schedule.lease("poll", 2, 20.0)).ids == ("a", "b")
    assert (await stack.schedule.lease("poll", 10, 20.0)).ids == ("c", "d")


async def test_an_empty_due_set_leases_nothing(stack: Stack) -> None:
    """Nothing owed: no ids and no next time."""
    leased = await stack.schedule.lease("deliver", 10, 20.0)
    assert (leased.ids, leased.next_due_s) == ((), None)


async def test_what_is_leased_is_not_leased_again_until_the_lease_ends(stack: Stack) -> None:
    """A lease holds for its time to the millisecond; then the item is due again by itself, under a new token."""
    await put(stack, a=-1)
    first = await stack.schedule.lease("poll", 10, 20.0)
    stack.clock.advance(19.999)
    held = await stack.schedule.lease("poll", 10, 20.0)
    assert held.ids == ()
    assert held.next_due_s == pytest.approx(0.001)
    stack.clock.advance(0.001)
    second = await stack.schedule.lease("poll", 10, 20.0)
    assert second.ids == ("a",)
    assert second.token != first.token


async def test_concurrent_leases_share_nothing(stack: Stack) -> None:
    """Workers that lease at the same moment never get the same item, and together get all of them."""
    await put(stack, **{f"i{n}": -n for n in range(40)})
    leases = await asyncio.gather(*(stack.schedule.lease("poll", 7, 20.0) for _ in range(8)))
    ids = [item for leased in leases for item in leased.ids]
    assert len(ids) == len(set(ids)) == 40


async def test_putting_back_gives_the_next_time_or_none(stack: Stack) -> None:
    """The holder of a lease says when the item is due again, or that nothing more is owed."""
    await put(stack, a=-2, b=-1)
    leased = await stack.schedule.lease("poll", 10, 20.0)
    stack.clock.advance(1)
    assert await stack.schedule.put_back("poll", "a", leased.token, 7.5)
    assert await stack.schedule.put_back("poll", "b", leased.token, None)
    assert await stack.due("poll") == {"a": START_MS + 8_500}


async def test_putting_back_notes_fields_in_a_record_that_exists(acme: Stack) -> None:
    """What is noted goes into the record; a record that is gone is not begun anew."""
    await acme.admit("p1")
    await put(acme, p1=0, gone=0)
    leased = await acme.schedule.lease("poll", 10, 20.0)
    assert await acme.schedule.put_back("poll", "p1", leased.token, 5.0, {"poll_failures": 3})
    assert await acme.schedule.put_back("poll", "gone", leased.token, 5.0, {"poll_failures": 3})
    stored = await acme.predictions.load("p1")
    assert stored is not None
    assert stored.poll_failures == 3
    assert not await acme.redis.exists("bw:prediction:gone")


@pytest.mark.parametrize("delay_s", [5.0, None])
async def test_a_lost_lease_changes_nothing(acme: Stack, delay_s: float | None) -> None:
    """Whoever lost the lease to another worker cannot complete the item: nothing is written, and it is counted."""
    await acme.admit("p1")
    await put(acme, p1=0)
    lost = await acme.schedule.lease("poll", 10, 20.0)
    acme.clock.advance(20)
    taken_over = await acme.schedule.lease("poll", 10, 20.0)
    assert taken_over.ids == ("p1",)
    before = await acme.dump()
    assert not await acme.schedule.put_back("poll", "p1", lost.token, delay_s, {"poll_failures": 3})
    await acme.schedule.aclose()
    assert await acme.dump() == before, "neither the item nor a wake-up"
    assert acme.sample("breakwater_leases_lost_total", due_set="poll") == 1
    assert await acme.schedule.put_back("poll", "p1", taken_over.token, None)


async def test_an_item_put_back_twice_is_put_back_once(stack: Stack) -> None:
    """A completion that is sent again finds its lease used up."""
    await put(stack, a=0)
    leased = await stack.schedule.lease("poll", 10, 20.0)
    assert await stack.schedule.put_back("poll", "a", leased.token, 5.0)
    assert not await stack.schedule.put_back("poll", "a", leased.token, 9.0)
    assert await stack.due("poll") == {"a": START_MS + 5_000}


async def test_owed_counts_items_and_the_age_of_the_oldest(stack: Stack) -> None:
    """What is owed is a number and an age, which is 0 while nothing is due."""
    assert await stack.schedule.owed("poll") == Owed(0, 0.0)
    await put(stack, later=60)
    assert await stack.schedule.owed("poll") == Owed(1, 0.0)
    await put(stack, a=-2.5, b=-1)
    owed = await stack.schedule.owed("poll")
    assert owed.items == 3
    assert owed.oldest_due_age_s == pytest.approx(2.5)


async def test_one_slot_is_one_job_however_many_items_fall_due_in_it(stack: Stack, redis_url: str) -> None:
    """A thousand calls for one slot enqueue one arq job, also from several processes; others have theirs."""
    for _ in range(1000):
        stack.schedule.wake("poll", 1.0)
    async with open_stack(redis_url) as other:
        other.schedule.wake("poll", 1.0)
        await other.schedule.aclose()
    stack.schedule.wake("poll", 1.0 + SLOT_MS / 1000)
    stack.schedule.wake("deliver", 1.0)
    slot = (START_MS + 1000) // SLOT_MS + 1
    assert await enqueued(stack) == {
        f"wake:poll:{slot}": slot * SLOT_MS,
        f"wake:deliver:{slot}": slot * SLOT_MS,
        f"wake:poll:{slot + 1}": (slot + 1) * SLOT_MS,
    }
    assert await stack.redis.exists(f"{job_key_prefix}wake:poll:{slot}")


@pytest.mark.parametrize("delay_s", [0.0, -5.0, 0.1, SLOT_MS / 1000, 3600.0])
async def test_a_wake_up_lies_strictly_in_the_future(stack: Stack, delay_s: float) -> None:
    """A slot never begins now, when its id may be a running job's, nor before the item is due."""
    stack.schedule.wake("poll", delay_s)
    (at_ms,) = (await enqueued(stack)).values()
    assert at_ms > START_MS
    assert at_ms >= START_MS + delay_s * 1000
    assert at_ms - max(START_MS, START_MS + delay_s * 1000) <= SLOT_MS


async def test_a_wake_up_names_the_job_and_its_due_set(stack: Stack) -> None:
    """The job carries its due set as JSON, readable by whoever takes it from the queue."""
    stack.schedule.wake("deliver", 0.0)
    (job_id,) = await enqueued(stack)
    info = await Job(job_id, stack.arq, _deserializer=from_json).info()
    assert info is not None
    assert (info.function, list(info.args), info.kwargs) == ("wake", ["deliver"], {})


async def test_putting_back_wakes_for_the_next_time(stack: Stack) -> None:
    """Whoever puts an item back also arranges that somebody looks when it falls due."""
    await put(stack, a=0)
    leased = await stack.schedule.lease("poll", 10, 20.0)
    await stack.schedule.put_back("poll", "a", leased.token, 5.0)
    (at_ms,) = (await enqueued(stack)).values()
    assert START_MS + 5_000 < at_ms <= START_MS + 5_000 + SLOT_MS


async def test_a_wake_up_that_cannot_be_enqueued_is_counted_and_may_be_tried_again(
    redis_proxy: FaultProxy, redis: Redis
) -> None:
    """Waking never fails its caller: a lost wake-up is counted, and the same slot can be asked for again."""
    async with open_stack(redis_proxy.url) as stack:
        redis_proxy.refuse()
        await redis_proxy.cut()
        stack.schedule.wake("poll", 1.0)
        await stack.schedule.aclose()
        assert stack.sample("breakwater_wakeups_lost_total", due_set="poll") == 1
        await redis_proxy.listen()
        stack.schedule.wake("poll", 1.0)
        await stack.schedule.aclose()
        assert await redis.zcard("arq:queue") == 1


async def test_waking_is_bounded_while_redis_does_not_answer(redis_proxy: FaultProxy) -> None:
    """With Redis silent, wake-ups in the making stay bounded and the rest is counted as lost."""
    async with open_stack(redis_proxy.url) as stack:
        redis_proxy.blackhole()
        for slot in range(400):
            stack.schedule.wake("deliver", slot * SLOT_MS / 1000)
        assert stack.sample("breakwater_wakeups_lost_total", due_set="deliver") == 400 - 256
        redis_proxy.refuse()
        await redis_proxy.cut()
        await wait_until(
            lambda: stack.sample("breakwater_wakeups_lost_total", due_set="deliver") == 400, what="all are given up"
        )


ITEMS = tuple("abcdef")
LEASE_S = 20.0

_steps = st.one_of(
    st.tuples(st.just("lease"), st.integers(1, 4)),
    st.tuples(st.just("put_back"), st.integers(0, 9)),
    st.tuples(st.just("finish"), st.integers(0, 9)),
    st.tuples(st.just("crash"), st.integers(0, 9)),
    st.tuples(st.just("pass"), st.sampled_from([1, 500, 5_000, 19_999, 20_000, 20_001])),
)


@dataclass(slots=True)
class Workers:
    """Workers that lease, complete and crash, checked against what must be true after every step."""

    stack: Stack
    held: list[tuple[str, str, int]] = field(default_factory=list)
    """What each worker believes it holds: item, token, and the lease's end in ms."""
    newest: dict[str, str] = field(default_factory=dict)
    """The token of each item's newest lease, until it is used."""
    owed: set[str] = field(default_factory=lambda: set(ITEMS))

    async def lease(self, limit: int) -> None:
        """A worker leases: only what nobody holds under an unexpired lease."""
        now_ms = self.stack.clock.now_ms
        leased = await self.stack.schedule.lease("poll", limit, LEASE_S)
        assert len(leased.ids) <= limit
        taken = {item for item, _, end_ms in self.held if end_ms > now_ms}
        assert not taken & set(leased.ids), "held by two unexpired leases"
        assert set(leased.ids) <= self.owed, "what is finished is not worked on again"
        self.newest |= dict.fromkeys(leased.ids, leased.token)
        self.held += [(item, leased.token, now_ms + round(LEASE_S * 1000)) for item in leased.ids]

    async def put_back(self, choice: int, delay_s: float | None) -> None:
        """A worker completes what it believes to hold; that succeeds only for the newest lease of an item."""
        if not self.held:
            return
        item, token, end_ms = self.held.pop(choice % len(self.held))
        kept = await self.stack.schedule.put_back("poll", item, token, delay_s)
        assert kept == (self.newest[item] == token), "the newest lease of an item, and no other, completes it"
        assert kept or end_ms <= self.stack.clock.now_ms, "an unexpired lease is never lost"
        if kept:
            self.newest[item] = ""
        if kept and delay_s is None:
            self.owed.discard(item)

    def crash(self, choice: int) -> None:
        """A worker dies with what it holds."""
        if self.held:
            self.held.pop(choice % len(self.held))

    async def check(self) -> None:
        """Everything owed, and nothing else, stands in the due set."""
        assert set(await self.stack.due("poll")) == self.owed


@asynccontextmanager
async def workers_on(redis_url: str) -> AsyncIterator[Workers]:
    """Workers on a due set of their own, with every item due."""
    async with open_stack(redis_url) as stack:
        await stack.redis.flushdb()
        await put(stack, **dict.fromkeys(ITEMS, 0.0))
        yield Workers(stack)


def test_no_item_is_ever_lost_or_held_twice(redis_url: str) -> None:
    """Whatever workers do and however they die, what is owed stays owed, in one pair of hands at a time, to the end."""

    async def play(steps: list[tuple[str, int]]) -> None:
        async with workers_on(redis_url) as workers:
            do: dict[str, Callable[[int], Awaitable[None]]] = {
                "lease": workers.lease,
                "put_back": lambda choice: workers.put_back(choice, choice * 3.0),
                "finish": lambda choice: workers.put_back(choice, None),
            }
            for step, number in steps:
                if step == "crash":
                    workers.crash(number)
                elif step == "pass":
                    workers.stack.clock.advance(number / 1000)
                else:
                    await do[step](number)
                await workers.check()
            workers.held.clear()  # everybody dies; whoever comes next finds all that is owed
            workers.stack.clock.advance(60)
            leased = await workers.stack.schedule.lease("poll", 100, LEASE_S)
            assert set(leased.ids) == workers.owed

    @settings(
        max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.lists(_steps, max_size=25))
    def property_holds(steps: list[tuple[str, int]]) -> None:
        asyncio.run(play(steps))

    property_holds()
