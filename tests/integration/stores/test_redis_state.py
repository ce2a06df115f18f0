"""Whether Redis can be relied on: it answered, under the right key, and has room."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from service.domain.errors import StoreUnavailable
from service.domain.tenants import Tenant, TenantState
from service.resources import open_resources, watch_redis
from service.stores import redis_state
from service.stores.redis_state import RedisState
from service.stores.server_clock import ServerClock
from service.usecases.submit import Submission
from tests.fault_proxy import FaultProxy
from tests.integration.stores.stack import KEY, OTHER_KEY, START_MS, Stack, open_stack, process_settings
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at Redis a hundred times a second."""
    monkeypatch.setattr(redis_state, "CHECK_EVERY_S", 0.01)


@pytest.fixture
async def memory(redis: Redis) -> AsyncIterator[Redis]:
    """A client that may set `maxmemory`, which is unlimited again afterwards.

    There is some ballast: a tenth of next to nothing would be less than a connection's buffers take.
    """
    await redis.set("ballast", b"x" * 20_000_000, px=60_000)
    yield redis
    await redis.config_set("maxmemory", 0)


async def fill_to(redis: Redis, share: float) -> None:
    """Set `maxmemory` so that what is used now is this share of it."""
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", int(used / share))


@asynccontextmanager
async def watching(
    stack: Stack, wrong: asyncio.Event | None = None, clock: ServerClock | None = None
) -> AsyncIterator[RedisState]:
    """A process's eye on Redis."""
    state = RedisState(
        stack.commands, stack.encryption, (wrong or asyncio.Event()).set, clock or ServerClock(time.time)
    )
    async with watch_redis(state):
        yield state


async def test_ready_once_redis_has_answered(redis_proxy: FaultProxy) -> None:
    """Not ready while Redis is away, ready when it answers, and still ready through a later outage."""
    redis_proxy.refuse()
    async with open_stack(redis_proxy.url) as stack, watching(stack) as state:
        await wait_until(lambda: state._down, what="the outage is noticed")
        assert not state.ready
        await redis_proxy.listen()
        await wait_until(lambda: state.ready, what="ready")
        redis_proxy.refuse()
        await redis_proxy.cut()
        await wait_until(lambda: state._down, what="the second outage is noticed")
        assert state.ready


async def test_a_wrong_key_stops_the_process(stack: Stack, redis_url: str) -> None:
    """A process with another encryption key never gets ready and is told to stop."""
    await stack.encryption.check_canary(stack.commands)
    wrong = asyncio.Event()
    async with open_stack(redis_url, OTHER_KEY) as other, watching(other, wrong) as state:
        await asyncio.wait_for(wrong.wait(), 5)
        assert not state.ready


async def test_nearly_full_refuses_and_room_again_accepts(stack: Stack, memory: Redis) -> None:
    """Past 85 % of `maxmemory` nothing new is accepted; with room again it is, and no limit means room."""
    async with watching(stack) as state:
        await wait_until(lambda: state.ready, what="the first look")
        state.require_room()
        await fill_to(memory, 0.90)
        await wait_until(lambda: state.full, what="full")
        with pytest.raises(StoreUnavailable, match="full"):
            state.require_room()
        await fill_to(memory, 0.75)
        await wait_until(lambda: not state.full, what="room again")
        state.require_room()


async def test_a_full_redis_admits_nothing_and_sends_nothing(redis_url: str, memory: Redis) -> None:
    """A submission is refused before anything is written or sent upstream."""
    async with open_resources(process_settings(redis_url)) as resources, watch_redis(resources.redis_state):
        await wait_until(lambda: resources.redis_state.ready, what="the first look")
        await resources.tenants.create(Tenant("acme", "Acme", TenantState.ACTIVE, START_MS), "whsec_x")
        tenant = await resources.tenants.get("acme")
        await fill_to(memory, 0.90)
        await wait_until(lambda: resources.redis_state.full, what="full")
        before = set(await memory.keys())
        with pytest.raises(StoreUnavailable):
            await resources.submit(tenant, Submission("openai/sora-2", {"prompt": "a wave"}))
        assert set(await memory.keys()) == before
        assert not resources.submit.running


async def test_what_was_accepted_still_ends_when_redis_is_nearly_full(acme: Stack, memory: Redis) -> None:
    """Between 85 % and the limit a prediction in flight can be confirmed, ended and delivered."""
    before = await acme.admit()
    await fill_to(memory, 0.90)
    await acme.complete(await acme.confirm(before))


async def test_past_the_limit_a_script_writes_nothing(acme: Stack, memory: Redis) -> None:
    """Out of memory is an outage, not half a write."""
    before = await acme.admit()
    dump = await acme.dump()
    await memory.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await acme.confirm(before)
    await memory.config_set("maxmemory", 0)
    assert await acme.dump() == dump
    assert KEY not in str(dump)


@pytest.mark.parametrize("wrong_by_s", [-7200.0, -0.4, 0.4, 90.0])
async def test_every_process_goes_by_the_server_s_clock(stack: Stack, wrong_by_s: float) -> None:
    """A host whose clock is wrong is put right within a look, and stays so."""
    clock = ServerClock(lambda: time.time() + wrong_by_s)
    assert abs(clock() - time.time()) > abs(wrong_by_s) / 2
    async with watching(stack, clock=clock):
        await wait_until(lambda: abs(clock() - time.time()) < 0.3, what="the clock is right")


async def test_a_small_difference_is_left_alone(stack: Stack) -> None:
    """A clock that is right does not shake with every answer: it runs as evenly as the host's own."""
    local = 1_800_000_000.0
    clock = ServerClock(lambda: local)
    seconds, micros = await stack.commands("TIME")
    local = int(seconds) + int(micros) / 1e6
    for _ in range(20):
        await clock.synchronize(stack.commands)
        local = time.time()
        assert clock() == local


async def test_a_clock_without_redis_goes_on(redis_proxy: FaultProxy) -> None:
    """While Redis is away, time passes by the host's clock."""
    redis_proxy.refuse()
    async with open_stack(redis_proxy.url) as stack:
        clock = ServerClock(time.time)
        with pytest.raises(StoreUnavailable):
            await clock.synchronize(stack.commands)
        assert abs(clock() - time.time()) < 0.3
