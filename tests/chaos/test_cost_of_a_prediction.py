"""What a prediction costs Redis: memory that it keeps, commands and processor time that it takes. Sizing uses it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.domain.tenant_spec import read_spec
from tests.journeys.system import Receiver, System
from tests.unit.test_sizing import CALLBACKS, KEPT_BYTES, READ_MS, REDIS_MS, RUN_S, looks
from tests.waiting import wait_until

WARM_UP: Final = 64
MEASURED: Final = 384
READ: Final = 2_000
AT_ONCE: Final = 32
POLL_SCALE: Final = 0.1
VIDEO_S: Final = (RUN_S + 10) * POLL_SCALE
"""Somewhat longer than is planned with: looks come late on a busy machine, and are not to be fewer."""

PROMPT: Final = "A lighthouse in a storm, waves breaking on the rocks, slow aerial shot. " * 4
"""Some 300 bytes, as prompts have."""

EVENTS: Final = ("prediction.processing", "prediction.completed")

MOST_COMMANDS: Final = 250
MOST_COMMANDS_TO_READ: Final = 3
"""Far above what is measured, and far below what a mistake would cost."""

ROOM: Final = 4
"""Processor time is planned by a quiet machine; a busy one needs more for the same."""


@pytest.mark.timeout(90)
async def test_a_prediction_costs_redis_what_is_planned(tmp_path: Path, redis_url: str, receiver: Receiver) -> None:
    """With the looks, callbacks and reads that docs/sizing.md assumes, it costs no more than that plans with."""
    async with (
        System(tmp_path, redis_url, BREAKWATER_POLL_SCALE=str(POLL_SCALE)) as system,
        Redis.from_url(redis_url) as redis,
    ):
        await asyncio.gather(
            system.start_simulator("--balance", "1000000"), system.start_gateway(), system.start_worker()
        )
        await system.create_tenant("acme", read_spec({"limits": {"concurrency": 1_000_000, "budget_usd": "9999"}}))
        endpoint = {"url": f"{receiver.url}/events", "events": EVENTS}
        assert (await system.client.post("/v1/endpoints", json=endpoint)).status_code == 201
        await _see_through(system, receiver, WARM_UP)
        before = await _state(redis)
        looks_before, told_before = await _looks(system), len(receiver.received)
        prediction_id = await _see_through(system, receiver, MEASURED)
        after = await _state(redis)
        looks_each = (await _looks(system) - looks_before) / MEASURED
        told_each = (len(receiver.received) - told_before) / MEASURED
        unread = await _state(redis)
        await _each(READ, lambda _: system.result(prediction_id))
        read = await _state(redis)
    kept = (after["used_memory"] - before["used_memory"]) / MEASURED
    commands, cpu_ms = _work(before, after, MEASURED)
    read_commands, read_ms = _work(unread, read, READ)
    print(  # noqa: T201
        f"cost of a prediction: {kept:,.0f} bytes of Redis kept, {commands:.0f} commands inside and outside of scripts,"
        f" {cpu_ms:.2f} ms of Redis' processor, with {looks_each:.1f} looks and {told_each:.1f} callbacks each;"
        f" of a read: {read_commands:.1f} commands, {1000 * read_ms:.1f} µs"
    )
    assert round(told_each) == CALLBACKS == len(EVENTS)
    assert looks_each > looks(RUN_S) - 0.5, "less work than is planned with"
    assert 500 < kept <= KEPT_BYTES
    assert commands < MOST_COMMANDS
    assert cpu_ms < ROOM * REDIS_MS
    assert read_commands < MOST_COMMANDS_TO_READ
    assert read_ms < ROOM * READ_MS


def _work(before: dict[str, Any], after: dict[str, Any], times: int) -> tuple[float, float]:
    """How many commands Redis worked on for each, and its processor time in ms."""
    commands, user_s, system_s = (
        after[name] - before[name] for name in ("total_commands_processed", "used_cpu_user", "used_cpu_sys")
    )
    return commands / times, 1000 * (user_s + system_s) / times


async def _each(wanted: int, work: Callable[[int], Awaitable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Do something so many times, a few at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> dict[str, Any]:
        async with places:
            return await work(number)

    return await asyncio.gather(*(one(number) for number in range(wanted)))


async def _see_through(system: System, receiver: Receiver, wanted: int) -> str:
    """Have so many predictions submitted, completed and told of; the id of one."""
    told = len(receiver.received) + wanted * CALLBACKS
    prompt = f"{PROMPT} [sim:duration={VIDEO_S:g}]"
    submitted = await _each(wanted, lambda number: system.submit(f"{prompt} {number}"))
    await wait_until(lambda: len(receiver.received) >= told, timeout_s=30, what="all are told of")
    return str(submitted[0]["id"])


async def _state(redis: Redis) -> dict[str, Any]:
    """What Redis says of its memory, its commands and its processor time."""
    return {**await redis.info("memory"), **await redis.info("stats"), **await redis.info("cpu")}


async def _looks(system: System) -> float:
    """How many looks the worker has made at WaveSpeed."""
    return await system.worker_metric('breakwater_upstream_calls_total{operation="result",outcome="ok"}')
