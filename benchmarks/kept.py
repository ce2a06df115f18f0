"""How much of Redis a stored prediction takes, with the deliveries that were made of it."""

import asyncio
import time
from typing import Final

import redis

from benchmarks.ground import many_ended, resources_settings, start_stub, tenant_with
from benchmarks.measured import OURS, Figure, MeasuredPath, Round, Target
from benchmarks.processes import Bench
from benchmarks.workers import DELIVERED, Worker
from service.resources import open_resources

STORED: Final = 2_000
"""Predictions of each kind."""

KINDS: Final = {OURS: 0, "breakwater, 1 delivery": 1, "breakwater, 2 deliveries": 2}
"""Endpoints that hear of each end."""

_PATIENCE_S: Final = 30.0


def kept(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Bytes of Redis for each completed prediction, by the difference over 2,000 of them."""
    receiver_port = bench.port()
    bench.start("benchmarks.receiver", str(receiver_port), measured=False)
    worker = Worker(bench, redis_url, start_stub(bench))

    def stored(deliveries: int) -> Round:
        def run(_: float) -> Figure:
            urls = [f"http://127.0.0.1:{receiver_port}/{number}" for number in range(deliveries)]
            return Figure(asyncio.run(_grown(redis_url, f"kept-{deliveries}", urls, worker)) / STORED)

        return run

    contestants = {name: stored(deliveries) for name, deliveries in KINDS.items()}
    targets = (Target(2_000, less=True, by="value"),)
    return [MeasuredPath("kept", "bytes of Redis a prediction", OURS, contestants, targets, rounds=1)]


async def _grown(redis_url: str, tenant: str, urls: list[str], worker: Worker) -> int:
    """How much larger Redis is when a tenant's predictions have ended and all was delivered."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await tenant_with(resources, tenant, urls)
        await many_ended(resources, tenant, 50)  # what is there once for all is there
        before, delivered = _settled(redis_url), worker.done(DELIVERED)
        await many_ended(resources, tenant, STORED)
        until = time.monotonic() + _PATIENCE_S
        while worker.done(DELIVERED) < delivered + STORED * len(urls):
            if time.monotonic() > until:
                raise SystemExit("not everything was delivered: there are no figures")
            await asyncio.sleep(0.1)
    return _settled(redis_url) - before


def _settled(redis_url: str) -> int:
    """How much Redis uses once its clients are quiet."""
    time.sleep(1)
    with redis.Redis.from_url(redis_url) as client:
        return int(client.info("memory")["used_memory_dataset"])
