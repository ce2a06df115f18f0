"""What a submission, a look and a sweep cost when more and more is stored: nothing may grow with all there is."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.ground import (
    many_running,
    resources_settings,
    start_stub,
    submission,
    tenant_with,
    write_catalogue,
)
from benchmarks.measured import FIXED_RATE, Figure, MeasuredPath, Round, Target
from benchmarks.processes import Bench, cpu_s, open_loop, rate, redis_cpu_s, resident_bytes
from benchmarks.serving import Gateway, start_gateway
from benchmarks.workers import LOOKS, Worker
from service.resources import Resources, open_resources
from worker.sweep import sweep

SIZES: Final = (1_000, 10_000, 100_000)
"""Predictions that are stored before anything is measured; each round of submissions adds a few hundred."""

IN_FLIGHT: Final = 1_000
"""Predictions that are looked at all the time, whatever else is stored."""

TENANTS: Final = (1, 1_000, 10_000)
ENDPOINTS: Final = (1, 10, 50)
"""Endpoints of one tenant; 50 is as many as it may have."""

ROUNDS: Final = 5
"""More than elsewhere: the differences that are looked for are small."""

NEW_KEYS_A_SECOND: Final = 300
"""How many tenants a second come that the gateway has not seen for a while: it looks each of them up."""

_PER_CPU: Final = "per second of gateway's and Redis's CPU"


def _stored(size: int) -> str:
    return f"{size:,} stored"


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def populate(bench: Bench, *arguments: str) -> None:
    """Fill a Redis while nothing is measured."""
    if bench.start("benchmarks.populate", *arguments, measured=True).wait():
        raise SystemExit("Redis could not be filled: there are no figures")


def submitting(
    gateway: Gateway, redis_url: str, request: Callable[[], list[bytes]], at_rate: float = FIXED_RATE
) -> Round:
    """A round of submissions at a fixed rate: what each takes of the gateway and of Redis, and how long."""

    def run(seconds: float) -> Figure:
        before, redis_before = cpu_s(gateway.process), redis_cpu_s(redis_url)
        late_ms = open_loop(gateway.port, request(), at_rate, seconds)
        redis_s = redis_cpu_s(redis_url) - redis_before
        used_s = cpu_s(gateway.process) - before + redis_s
        also = {"Redis µs each": redis_s / len(late_ms) * 1e6}
        return Figure(rate(len(late_ms), used_s), late_ms, resident_bytes(gateway.process) / 1e6, also)

    return run


def growth(bench: Bench, _: str) -> list[MeasuredPath]:
    """Submissions, looks and sweeps with 1,000, 10,000 and 100,000 predictions stored, each in a Redis of its own."""
    stub_port, catalogue = start_stub(bench), write_catalogue(bench.directory)
    submits: dict[str, Round] = {}
    polls: dict[str, Round] = {}
    sweeps: dict[str, Round] = {}
    books: dict[str, Round] = {}
    for size in SIZES:
        redis_url, name = bench.redis(), _stored(size)
        gateway = start_gateway(bench, redis_url, stub_port)
        populate(bench, redis_url, "stored", str(size))
        asyncio.run(_in_flight(redis_url))
        submits[name] = submitting(gateway, redis_url, lambda key=gateway.key: [submission(key)])  # type: ignore[misc]
        polls[name] = _polling(bench, redis_url, stub_port, catalogue)
        sweeps[name] = _timed(redis_url, _sweep)
        books[name] = _timed(redis_url, _reconcile)
    least, most = _stored(SIZES[0]), _stored(SIZES[-1])
    flat = (Target(0.97, least, contestant=most),)
    grown = (Target(1.5, least, less=True, contestant=most),)
    return [
        MeasuredPath("growth submit", f"submissions {_PER_CPU}", least, submits, flat, ROUNDS, per_core=True),
        MeasuredPath("growth sweep", "ms a sweep", least, sweeps, grown),
        MeasuredPath("growth books", "ms to reconcile all", least, books, rounds=1),
        MeasuredPath("growth poll", "looks per second of worker's and Redis's CPU", least, polls, flat, ROUNDS),
    ]


async def _in_flight(redis_url: str) -> None:
    """What is looked at."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await many_running(resources, "bench", IN_FLIGHT, next_look_s=0.0)


def _polling(bench: Bench, redis_url: str, stub_port: int, catalogue: str) -> Round:
    """Rounds of a worker that is started with the first of them, and stands still between them."""
    started: list[Worker] = []

    def run(seconds: float) -> Figure:
        if not started:
            started.append(Worker(bench, redis_url, stub_port, BREAKWATER_MODELS_FILE=catalogue))
            while started[0].done(LOOKS) < 2 * IN_FLIGHT:
                started[0].await_work(LOOKS)
            started[0].pause()
        return started[0].in_turn(LOOKS, with_redis=True)(seconds)

    return run


async def _sweep(resources: Resources) -> None:
    """What every worker does every ten seconds."""
    await sweep(
        resources.schedule, resources.find_stuck, resources.watch_account, resources.measure_store, resources.metrics
    )


async def _reconcile(resources: Resources) -> None:
    """What one worker does every five minutes: every prediction against the books."""
    await resources.reconcile()


def _timed(redis_url: str, work: Callable[[Resources], Awaitable[None]]) -> Round:
    """How long it takes, in ms."""

    async def run() -> Figure:
        async with open_resources(resources_settings(redis_url)) as resources:
            await resources.commands("PING")
            started = time.perf_counter()
            await work(resources)
            return Figure((time.perf_counter() - started) * 1e3)

    return lambda _: asyncio.run(run())


def tenants(bench: Bench, _: str) -> list[MeasuredPath]:
    """Submissions with 1, 1,000 and 10,000 tenants, each from another one of them."""
    stub_port = start_stub(bench)
    contestants: dict[str, Round] = {}
    rolls = random.Random(5)  # noqa: S311 the same order each time
    for count in TENANTS:
        redis_url, output = bench.redis(), bench.directory / f"keys-{count}"
        gateway = start_gateway(bench, redis_url, stub_port)
        populate(bench, redis_url, "tenants", str(count), str(output))
        keys = output.read_text().splitlines()

        def some(keys: list[str] = keys) -> list[bytes]:
            return [submission(key) for key in rolls.sample(keys, min(len(keys), 1_000))]

        contestants[_plural(count, "tenant")] = submitting(gateway, redis_url, some, NEW_KEYS_A_SECOND)
    few, many = _plural(TENANTS[1], "tenant"), _plural(TENANTS[2], "tenant")
    targets = (Target(0.95, few, contestant=many),)
    return [
        MeasuredPath(
            "tenants",
            f"submissions {_PER_CPU}",
            few,
            contestants,
            targets,
            ROUNDS,
            per_core=True,
            at_rate=NEW_KEYS_A_SECOND,
        )
    ]


def endpoints(bench: Bench, _: str) -> list[MeasuredPath]:
    """Submissions of a tenant with 1, 10 and 50 endpoints, which is as many as it may have."""
    stub_port = start_stub(bench)
    contestants: dict[str, Round] = {}
    for count in ENDPOINTS:
        redis_url = bench.redis()
        gateway = start_gateway(bench, redis_url, stub_port)
        key = asyncio.run(_with_endpoints(redis_url, count))
        contestants[_plural(count, "endpoint")] = submitting(gateway, redis_url, lambda key=key: [submission(key)])  # type: ignore[misc]
    few, many = _plural(ENDPOINTS[0], "endpoint"), _plural(ENDPOINTS[-1], "endpoint")
    targets = (Target(0.95, few, contestant=many),)
    return [MeasuredPath("endpoints", f"submissions {_PER_CPU}", few, contestants, targets, per_core=True)]


async def _with_endpoints(redis_url: str, count: int) -> str:
    """A tenant with so many endpoints; its key."""
    async with open_resources(resources_settings(redis_url)) as resources:
        return await tenant_with(resources, "many", [f"http://127.0.0.1:9/{number}" for number in range(count)])
