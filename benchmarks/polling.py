"""A worker's looks at running predictions, against the same client in a bare loop; and looks that find an end."""

import asyncio
from typing import Final

from benchmarks.ground import many_running, resources_settings, start_stub, tenant_with, write_catalogue
from benchmarks.measured import OURS, ROUND_S, ROUNDS, MeasuredPath, Target
from benchmarks.processes import Bench
from benchmarks.workers import ENDED, LOOKS, Worker, bare
from service.resources import open_resources

IN_FLIGHT: Final = 5_000
"""Predictions in flight while polls are measured."""

BARE_LOOP: Final = "same client (aiohttp) in a bare loop"
HTTPX2_LOOP: Final = "httpx2 over aiohttp in a bare loop"

ENDPOINTS: Final = {OURS: 1, "breakwater, no endpoint": 0, "breakwater, 10 endpoints": 10}
"""Endpoints of a tenant whose predictions end: as many deliveries are written with each."""

ENDS_A_SECOND: Final = 3_500
"""More than a worker settles."""


def poll(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Looks at running predictions by one worker, against the same client in a bare loop, and against httpx2."""
    stub_port = start_stub(bench)
    asyncio.run(_prepare(redis_url, IN_FLIGHT))
    worker = Worker(bench, redis_url, stub_port, BREAKWATER_MODELS_FILE=write_catalogue(bench.directory))
    while worker.done(LOOKS) < 2 * IN_FLIGHT:  # then every prediction is `processing`: the steady state
        worker.await_work(LOOKS)
    contestants = {
        OURS: lambda seconds: worker.measure(LOOKS, seconds),
        BARE_LOOP: bare(bench, "bare_loop", stub_port, worker),
        HTTPX2_LOOP: bare(bench, "bare_loop", stub_port, worker, "httpx2"),
    }
    targets = (Target(0.85, BARE_LOOP),)
    return [MeasuredPath("poll", "looks/s per core", BARE_LOOP, contestants, targets, per_core=True)]


def settle(bench: Bench, _: str) -> list[MeasuredPath]:
    """From a look that finds an end to its event and deliveries, written but not made: nobody answers them."""
    stub_port, hanging_port = start_stub(bench, "completed"), bench.port()
    bench.start("benchmarks.receiver", str(hanging_port), measured=False)
    contestants = {}
    for name, endpoints in ENDPOINTS.items():
        redis_url = bench.redis()
        urls = [f"http://127.0.0.1:{hanging_port}/hang/{number}" for number in range(endpoints)]
        asyncio.run(_prepare(redis_url, int(ENDS_A_SECOND * (ROUND_S * ROUNDS + 1)), urls))
        worker = Worker(bench, redis_url, stub_port)
        worker.pause()
        contestants[name] = worker.in_turn(ENDED)
    return [MeasuredPath("settle", "ends/s per core", "breakwater, no endpoint", contestants, per_core=True)]


async def _prepare(redis_url: str, count: int, urls: list[str] | None = None) -> None:
    """A tenant and its running predictions, all due at once."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await tenant_with(resources, "bench", urls)
        await many_running(resources, "bench", count, next_look_s=0.0)
