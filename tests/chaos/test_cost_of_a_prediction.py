"""What a prediction costs Redis: memory that it keeps, commands and processor time that it takes. Sizing uses it."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.domain.tenant_spec import read_spec
from tests.journeys.system import Receiver, System
from tests.waiting import wait_until

WARM_UP: Final = 64
MEASURED: Final = 384
AT_ONCE: Final = 32
PROMPT: Final = "A lighthouse in a storm, waves breaking on the rocks, slow aerial shot. " * 4
"""Some 300 bytes, as prompts have."""

MOST_BYTES: Final = 8_000
MOST_COMMANDS: Final = 250
"""Far above what is measured, and far below what a mistake would cost."""


@pytest.mark.timeout(60)
async def test_a_prediction_costs_redis_little(tmp_path: Path, redis_url: str, receiver: Receiver) -> None:
    """Ended and told to one endpoint, it keeps a few kB, and took some dozens of commands with its looks."""
    async with System(tmp_path, redis_url) as system, Redis.from_url(redis_url) as redis:
        await asyncio.gather(
            system.start_simulator("--balance", "1000000"), system.start_gateway(), system.start_worker()
        )
        await system.create_tenant("acme", read_spec({"limits": {"concurrency": 1_000_000, "budget_usd": "9999"}}))
        endpoint = {"url": f"{receiver.url}/events", "events": ["prediction.completed"]}
        assert (await system.client.post("/v1/endpoints", json=endpoint)).status_code == 201
        await _see_through(system, receiver, WARM_UP)
        before = await _state(redis)
        looks_before = await _looks(system)
        await _see_through(system, receiver, MEASURED)
        after = await _state(redis)
        looks = (await _looks(system) - looks_before) / MEASURED
    kept, commands = ((after[name] - before[name]) / MEASURED for name in ("used_memory", "total_commands_processed"))
    cpu_ms = 1000 * sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys")) / MEASURED
    print(  # noqa: T201
        f"cost of a prediction: {kept:,.0f} bytes of Redis kept, {commands:.0f} commands inside and outside of scripts,"
        f" {cpu_ms:.2f} ms of Redis' processor, with {looks:.1f} looks and one callback each"
    )
    assert 500 < kept < MOST_BYTES
    assert commands < MOST_COMMANDS


async def _see_through(system: System, receiver: Receiver, wanted: int) -> None:
    """Have so many predictions submitted, completed and told of."""
    told = len(receiver.received) + wanted
    places = asyncio.Semaphore(AT_ONCE)

    async def submit(number: int) -> None:
        async with places:
            await system.submit(f"{PROMPT} {number}")

    await asyncio.gather(*(submit(number) for number in range(wanted)))
    await wait_until(lambda: len(receiver.received) >= told, timeout_s=30, what="all are told of")


async def _state(redis: Redis) -> dict[str, Any]:
    """What Redis says of its memory, its commands and its processor time."""
    return {**await redis.info("memory"), **await redis.info("stats"), **await redis.info("cpu")}


async def _looks(system: System) -> float:
    """How many looks the worker has made at WaveSpeed."""
    return await system.worker_metric('breakwater_upstream_calls_total{operation="result",outcome="ok"}')
