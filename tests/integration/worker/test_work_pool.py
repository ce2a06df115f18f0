"""A pool is never over its capacity, fills itself again, survives its handlers and drains in bounded time."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import pytest

from service.domain.errors import StoreUnavailable
from service.stores.work_schedule import Leased
from tests.integration.stores.stack import START_MS, Stack
from tests.waiting import wait_until
from worker.work_pool import LEASE_AT_ONCE, WorkPool

LEASE_S = 20.0


@dataclass(slots=True)
class Handler:
    """Works on items for as long as the test wants; an item in `failing` raises what stands there."""

    stack: Stack
    hold: bool = True
    failing: dict[str, Exception] = field(default_factory=dict)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    active: set[str] = field(default_factory=set)
    most: int = 0
    done: list[str] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)

    async def __call__(self, item_id: str, token: str) -> None:
        """Work on one item."""
        assert item_id not in self.active
        self.active.add(item_id)
        self.most = max(self.most, len(self.active))
        try:
            if self.hold:
                await self.release.wait()
            if item_id in self.failing:
                raise self.failing[item_id]
            assert await self.stack.schedule.put_back("poll", item_id, token, None)
            self.done.append(item_id)
        except asyncio.CancelledError:
            self.canceled.append(item_id)
            raise
        finally:
            self.active.discard(item_id)


@pytest.fixture
def handler(stack: Stack) -> Handler:
    """A handler that holds its items until released."""
    return Handler(stack)


def pool_of(handler: Handler, capacity: int) -> WorkPool:
    """A pool over the predictions that are due."""
    stack = handler.stack
    lease = partial(stack.schedule.lease, "poll", lease_s=LEASE_S)
    return WorkPool("poll", capacity, lease, stack.schedule, handler, stack.metrics)


async def put(stack: Stack, count: int) -> list[str]:
    """Have that many items be due; their ids, oldest first."""
    ids = [f"i{n:04}" for n in range(count)]
    await stack.redis.zadd("bw:due:poll", {item: START_MS - count + n for n, item in enumerate(ids)})
    return ids


async def test_a_pool_leases_as_many_as_it_has_places(stack: Stack, handler: Handler) -> None:
    """With more due than places, the oldest are worked on and the others stay free for other workers."""
    ids = await put(stack, 10)
    pool = pool_of(handler, 3)
    await pool.fill()
    await wait_until(lambda: len(handler.active) == 3)
    assert handler.active == set(ids[:3])
    await pool.fill()
    assert (await stack.schedule.lease("poll", 10, LEASE_S)).ids == tuple(ids[3:])
    assert stack.sample("breakwater_worker_in_flight", due_set="poll") == 3
    await pool.drain(0.0)


async def test_freed_places_lease_again_until_nothing_is_due(stack: Stack, handler: Handler) -> None:
    """One wake-up is enough for any backlog: places that get free take what is still due, never too many at once."""
    ids = await put(stack, 300)
    pool = pool_of(handler, 16)
    await pool.fill()
    await wait_until(lambda: len(handler.active) == 16)
    handler.release.set()
    await wait_until(lambda: len(handler.done) == 300, what="all are done")
    assert sorted(handler.done) == ids
    assert handler.most == 16
    assert await stack.due("poll") == {}
    assert await pool.drain(1.0) == 0


async def test_one_wake_up_fills_a_large_pool(stack: Stack, handler: Handler) -> None:
    """A pool larger than one lease takes leases one after another until it is full."""
    await put(stack, 2 * LEASE_AT_ONCE + 50)
    pool = pool_of(handler, 2 * LEASE_AT_ONCE + 10)
    await pool.fill()
    await wait_until(lambda: len(handler.active) == 2 * LEASE_AT_ONCE + 10)
    await pool.drain(0.0)


async def test_concurrent_wake_ups_do_not_overfill(stack: Stack, handler: Handler) -> None:
    """Wake-ups of several slots at once lease no more than there are places, all of them together."""
    await put(stack, 100)
    pool = pool_of(handler, 8)
    await asyncio.gather(*(pool.fill() for _ in range(5)))
    await wait_until(lambda: len(handler.active) >= 8)
    handler.release.set()
    await wait_until(lambda: len(handler.done) == 100)
    assert handler.most == 8
    await pool.drain(1.0)


async def test_a_pool_with_room_left_wakes_for_what_falls_due_next(stack: Stack, handler: Handler) -> None:
    """Before it rests, a pool arranges to be woken when the next item falls due."""
    await stack.redis.zadd("bw:due:poll", {"later": START_MS + 5_000})
    await pool_of(handler, 3).fill()
    await stack.schedule.aclose()
    ((_, at_ms),) = await stack.redis.zrange("arq:queue", 0, -1, withscores=True)
    assert START_MS + 5_000 < at_ms <= START_MS + 5_250


async def test_a_handler_that_raises_leaves_its_item_to_fall_due_again(stack: Stack, handler: Handler) -> None:
    """A bug in one item is counted and ends neither the pool nor other items; the item comes back with its lease."""
    ids = await put(stack, 6)
    handler.hold = False
    handler.failing = {ids[1]: RuntimeError("a bug"), ids[3]: StoreUnavailable("Redis is away")}
    pool = pool_of(handler, 2)
    await pool.fill()
    await wait_until(lambda: len(handler.done) == 4)
    await wait_until(lambda: stack.sample("breakwater_work_failed_total", due_set="poll") == 2)
    lease_ends = START_MS + round(LEASE_S * 1000)
    assert await stack.due("poll") == {ids[1]: lease_ends, ids[3]: lease_ends}
    handler.failing = {}
    stack.clock.advance(LEASE_S)
    await pool.fill()
    await wait_until(lambda: len(handler.done) == 6)
    assert await pool.drain(1.0) == 0


async def test_a_drain_waits_for_what_is_in_work(stack: Stack, handler: Handler) -> None:
    """While draining nothing more is leased, and what is in work may end."""
    await put(stack, 5)
    pool = pool_of(handler, 2)
    await pool.fill()
    await wait_until(lambda: len(handler.active) == 2)
    draining = asyncio.create_task(pool.drain(10.0))
    await pool.fill()
    handler.release.set()
    assert await draining == 0
    assert len(handler.done) == 2
    await pool.fill()
    assert handler.active == set()
    assert (await stack.schedule.owed("poll")).items == 3


async def test_a_drain_cancels_what_takes_too_long(stack: Stack, handler: Handler) -> None:
    """After its bound a drain cancels the rest, says how many, and they fall due again when their lease ends."""
    ids = await put(stack, 3)
    pool = pool_of(handler, 3)
    await pool.fill()
    await wait_until(lambda: len(handler.active) == 3)
    assert await pool.drain(0.01) == 3
    assert sorted(handler.canceled) == ids
    assert stack.sample("breakwater_worker_in_flight", due_set="poll") == 0
    stack.clock.advance(LEASE_S)
    assert (await stack.schedule.lease("poll", 10, LEASE_S)).ids == tuple(ids)


async def test_an_idle_pool_drains_at_once(handler: Handler) -> None:
    """Nothing in work: nothing to wait for."""
    assert await asyncio.wait_for(pool_of(handler, 3).drain(60.0), 5.0) == 0


async def test_a_lease_answered_after_the_drain_began_starts_no_work(stack: Stack, handler: Handler) -> None:
    """When a drain returns, nothing is in work, even if a lease was on its way when it began."""
    await put(stack, 4)
    asked, answer_now = asyncio.Event(), asyncio.Event()

    async def slow_lease(limit: int) -> Leased:
        leased = await stack.schedule.lease("poll", limit, LEASE_S)
        asked.set()
        await answer_now.wait()
        return leased

    pool = WorkPool("poll", 3, slow_lease, stack.schedule, handler, stack.metrics)
    filling = asyncio.create_task(pool.fill())
    await asked.wait()
    draining = asyncio.create_task(pool.drain(0.2))
    await asyncio.sleep(0)
    answer_now.set()
    await asyncio.gather(filling, draining)
    assert stack.sample("breakwater_worker_in_flight", due_set="poll") == 0
