"""Callbacks: how many a worker's core delivers, and whether a receiver in trouble delays the others'."""

import asyncio
import time
from pathlib import Path
from typing import Final

from benchmarks.ground import ended, many_ended, resources_settings, tenant_with
from benchmarks.measured import OURS, Figure, MeasuredPath, Round, Target, percentile
from benchmarks.processes import Bench, resident_bytes
from benchmarks.workers import DELIVERED, Worker, bare
from service.resources import open_resources

ENDPOINTS: Final = 50
"""Endpoints of each tenant: as many as it may have."""

BACKLOG: Final = 1_000
"""Predictions that have ended before deliveries are measured, each owed to every endpoint."""

ENDS_A_SECOND: Final = 5
"""Predictions that end each second, of each of two tenants, while lag is measured."""

LATE: Final = BACKLOG * ENDPOINTS
"""Deliveries after which memory is measured: all of them."""

HANGING, REFUSING = 1, 5
"""Endpoints in trouble, of 100."""

BARE_SENDER: Final = "same signature and client (aiohttp) in a bare loop"
HTTPX2_SENDER: Final = "same signature, httpx2 over aiohttp in a bare loop"
ALL_WELL: Final = "100 healthy endpoints"


async def _backlog(redis_url: str, receiver_port: int, predictions: int = BACKLOG) -> None:
    """Everything that is to be delivered."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await tenant_with(resources, "bench", [f"http://127.0.0.1:{receiver_port}/{n}" for n in range(ENDPOINTS)])
        await many_ended(resources, "bench", predictions)


def deliver(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Deliveries by one worker, against a bare loop that signs and posts the same with the same client; its memory."""
    receiver_port = bench.port()
    bench.start("benchmarks.receiver", str(receiver_port), measured=False)
    asyncio.run(_backlog(redis_url, receiver_port))
    worker = Worker(bench, redis_url, bench.port())
    time.sleep(1)
    seen_mb: list[float] = []

    def ours(seconds: float) -> Figure:
        measured = worker.measure(DELIVERED, seconds)
        if worker.done(DELIVERED) > (BACKLOG - 50) * ENDPOINTS:
            raise SystemExit("everything is delivered: the figure would mean nothing")
        seen_mb.append(measured.resident_mb or 0.0)
        return measured

    def at_the_end(_: float) -> Figure:
        while worker.done(DELIVERED) < LATE:
            time.sleep(0.2)
        return Figure(resident_bytes(worker.process) / 1e6)

    early = "after the first round"
    return [
        MeasuredPath(
            "deliver",
            "deliveries/s per core",
            BARE_SENDER,
            {
                OURS: ours,
                BARE_SENDER: bare(bench, "bare_sender", receiver_port, worker),
                HTTPX2_SENDER: bare(bench, "bare_sender", receiver_port, worker, "httpx2"),
            },
            (Target(0.7, BARE_SENDER),),
            per_core=True,
        ),
        MeasuredPath(
            "memory",
            f"MB resident, after {LATE:,} deliveries",
            early,
            {OURS: at_the_end, early: lambda _: Figure(seen_mb[0])},
            (Target(1.1, early, less=True),),
            rounds=1,
        ),
    ]


def isolation(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """How late 94 healthy endpoints hear of ends, while one hangs and five refuse, against all 100 being well."""
    healthy_port, hanging_port = bench.port(), bench.port()
    refusing_port, output = bench.port(), bench.directory / "lags"
    bench.start("benchmarks.receiver", str(healthy_port), str(output), measured=False)
    bench.start("benchmarks.receiver", str(hanging_port), measured=False)
    well = [f"http://127.0.0.1:{healthy_port}/{n}" for n in range(ENDPOINTS)]
    ill = [f"http://127.0.0.1:{hanging_port}/hang"] * HANGING + [f"http://127.0.0.1:{refusing_port}/"] * REFUSING
    troubled = [*ill, *well[len(ill) :]]
    asyncio.run(_tenants(redis_url, {"well-1": well, "well-2": well, "ill-1": troubled, "ill-2": well}))
    Worker(bench, redis_url, bench.port())

    def told(*tenants: str) -> Round:
        return lambda seconds: Figure(_lag(redis_url, tenants, max(1.0, seconds), output))

    return [
        MeasuredPath(
            "isolation",
            "ms notify lag, p99",
            ALL_WELL,
            {OURS: told("ill-1", "ill-2"), ALL_WELL: told("well-1", "well-2")},
            (Target(2.0, ALL_WELL, less=True),),
        )
    ]


async def _tenants(redis_url: str, tenants: dict[str, list[str]]) -> None:
    """Tenants with their endpoints."""
    async with open_resources(resources_settings(redis_url)) as resources:
        for tenant_id, urls in tenants.items():
            await tenant_with(resources, tenant_id, urls)


def _lag(redis_url: str, tenants: tuple[str, ...], seconds: float, output: Path) -> float:
    """Have predictions of these tenants end at a fixed rate; how late their healthy endpoints hear of it, p99."""
    before = len(output.read_text().splitlines())
    asyncio.run(_ends(redis_url, tenants, seconds))
    return percentile(map(float, output.read_text().splitlines()[before:]), 0.99)


async def _ends(redis_url: str, tenants: tuple[str, ...], seconds: float) -> None:
    """An open loop: what is slow does not slow it down."""
    async with open_resources(resources_settings(redis_url)) as resources:
        ends = int(seconds * ENDS_A_SECOND)
        started = time.monotonic()
        making = []
        for number in range(ends):
            await asyncio.sleep(max(0.0, started + number / ENDS_A_SECOND - time.monotonic()))
            making += [asyncio.create_task(ended(resources, tenant)) for tenant in tenants]
        await asyncio.gather(*making)
        await asyncio.sleep(2.0)  # what is late arrives
