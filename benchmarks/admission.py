"""The admission script alone: how many a core of Redis runs, against the least that would do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.contestants.nginx import COUNT_AND_RECORD, WITH_LUA
from benchmarks.ground import AT_ONCE, EVERY_LIMIT, INPUT, intent, resources_settings, tenant_with
from benchmarks.measured import OURS, Figure, MeasuredPath, Round
from benchmarks.processes import Bench, rate, redis_cpu_s
from service.resources import Resources, open_resources

LEAST: Final = f"the script of {WITH_LUA}"
NO_LIMITS: Final = "breakwater, no limits"


def admission(_: Bench, redis_url: str) -> list[MeasuredPath]:
    """Admissions a second of Redis's own CPU time, many at once as a gateway sends them."""

    async def prepare() -> str:
        async with open_resources(resources_settings(redis_url)) as resources:
            await tenant_with(resources, "limited", limits=EVERY_LIMIT)
            await tenant_with(resources, "free")
            return bytes(await resources.commands("SCRIPT", "LOAD", COUNT_AND_RECORD)).decode()

    sha = asyncio.run(prepare())

    def admit(tenant: str) -> Round:
        async def one(resources: Resources) -> None:
            await resources.ledger.admit(intent(tenant), 86_400.0, 86_400.0)

        return _timed(redis_url, one)

    async def least(resources: Resources) -> None:
        keys = "rate:bench", f"record:{intent('free').id}"
        await resources.commands("EVALSHA", sha, 2, *keys, 1_000_000_000, INPUT)

    contestants = {OURS: admit("limited"), NO_LIMITS: admit("free"), LEAST: _timed(redis_url, least)}
    return [MeasuredPath("admission", "scripts/s per core of Redis", LEAST, contestants, per_core=True)]


def _timed(redis_url: str, one: Callable[[Resources], Awaitable[None]]) -> Round:
    """A round of as many as Redis runs."""

    async def run(seconds: float) -> Figure:
        async with open_resources(resources_settings(redis_url)) as resources:
            await one(resources)
            before, until, done = redis_cpu_s(redis_url), time.monotonic() + seconds, 0
            while time.monotonic() < until:
                await asyncio.gather(*(one(resources) for _ in range(AT_ONCE)))
                done += AT_ONCE
            return Figure(rate(done, redis_cpu_s(redis_url) - before))

    return lambda seconds: asyncio.run(run(seconds))
