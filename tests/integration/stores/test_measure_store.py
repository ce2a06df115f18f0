"""What Redis holds and how it is set, as the gauges of every worker show it."""

from collections.abc import AsyncIterator
from math import isnan
from typing import Any

import pytest

from service.metrics import Metrics
from service.resources import open_resources, watch_redis
from service.stores import holdings, keys, redis_state
from service.stores.holdings import Holdings
from service.usecases.measure_store import MeasureStore
from tests.fault_proxy import FaultProxy
from tests.integration.stores.stack import START_MS, Stack, process_settings
from tests.waiting import wait_until


def measuring(stack: Stack) -> MeasureStore:
    """The use case on these stores."""
    return MeasureStore(Holdings(stack.commands, stack.scripts, stack.clock.s), stack.metrics)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A gauge's value, None when there is no such series."""
    return metrics.registry.get_sample_value(f"breakwater_{name}", labels)


@pytest.fixture
async def configured(stack: Stack) -> AsyncIterator[Stack]:
    """The stores on a server whose settings are put back afterwards."""
    names = ("appendonly", "maxmemory", "maxmemory-policy")
    before: dict[str, Any] = {name: (await stack.redis.config_get(name))[name] for name in names}
    yield stack
    for name, setting in before.items():
        await stack.redis.config_set(name, setting)


async def test_nothing_is_claimed_before_it_was_read(stack: Stack) -> None:
    """What was not measured yet is NaN, or no series at all: no alert goes off, and none is silenced."""
    for name in ("redis_append_only", "redis_noeviction", "redis_memory_used_ratio", "dead_letters"):
        assert isnan(value(stack.metrics, name) or 0.0), name
    assert value(stack.metrics, "endpoints", state="disabled") is None


async def test_how_redis_is_set(configured: Stack) -> None:
    """Append-only file, eviction policy and the share of memory in use follow the server's settings."""
    redis, measure = configured.redis, measuring(configured)

    async def shown() -> tuple[float | None, float | None, float]:
        await measure()
        metrics = configured.metrics
        used = value(metrics, "redis_memory_used_ratio")
        assert used is not None
        return value(metrics, "redis_append_only"), value(metrics, "redis_noeviction"), used

    await redis.config_set("maxmemory", 0)
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    await redis.config_set("appendonly", "no")
    append_only, noeviction, used = await shown()
    assert (append_only, noeviction) == (0, 0)
    assert isnan(used)

    await redis.config_set("maxmemory", int((await redis.info("memory"))["used_memory"]) * 2)
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("appendonly", "yes")
    append_only, noeviction, used = await shown()
    assert (append_only, noeviction) == (1, 1)
    assert used == pytest.approx(0.5, abs=0.1)


async def test_only_dead_letters_that_are_still_known_count(acme: Stack) -> None:
    """One whose delivery has lived its time cannot be resent, and is not counted, though the list still names it."""
    forgotten_ms = START_MS - keys.DELIVERY_MS - 1
    await acme.redis.zadd(keys.DEAD, {"forgotten": forgotten_ms, "old": START_MS - keys.DELIVERY_MS, "new": START_MS})
    await acme.redis.pexpire(keys.DEAD, keys.DELIVERY_MS)
    await measuring(acme)()
    assert value(acme.metrics, "dead_letters") == 2


async def test_endpoints_by_state_over_all_tenants(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenant's endpoints count, in however many steps; a description cannot pretend to be a state."""
    monkeypatch.setattr(holdings, "TENANTS_AT_ONCE", 2)
    for tenant in ("acme", "beta", "gamma", "delta", "idle"):
        await stack.add_tenant(tenant)
    await stack.add_endpoint("ep_1", description='"state":"disabled"')
    await stack.add_endpoint("ep_2", state="disabled", disabled_by="team")
    for tenant in ("beta", "gamma", "delta"):
        await stack.add_endpoint(f"ep_{tenant}", tenant=tenant)
    await measuring(stack).endpoints()
    assert value(stack.metrics, "endpoints", state="enabled") == 4
    assert value(stack.metrics, "endpoints", state="disabled") == 1


async def test_redis_up_says_what_the_last_look_said(redis_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 until Redis has answered, 1 while it does, 0 as soon as a look finds it away, and 1 again."""
    monkeypatch.setattr(redis_state, "CHECK_EVERY_S", 0.01)
    redis_proxy.refuse()
    async with open_resources(process_settings(redis_proxy.url)) as resources:

        def up() -> float | None:
            return value(resources.metrics, "redis_up")

        assert up() == 0
        async with watch_redis(resources.redis_state):
            await redis_proxy.listen()
            await wait_until(lambda: up() == 1, what="Redis is up")
            redis_proxy.refuse()
            await redis_proxy.cut()
            await wait_until(lambda: up() == 0, what="Redis is away")
            await redis_proxy.listen()
            await wait_until(lambda: up() == 1, what="Redis is back")
