"""Callbacks: how many a worker's core delivers, and whether a receiver in trouble delays the others'."""

import asyncio
import signal
import statistics
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import httpx2

from benchmarks.paths import DONE, MeasuredPath, Round, process_settings, resources_settings, running
from benchmarks.processes import Bench, Measured, cpu_s, resident_bytes
from service.cli.local_system import wait_for_url
from service.domain.moves import observed
from service.resources import Resources, open_resources

ENDPOINTS: Final = 50
"""Endpoints of each tenant: as many as it may have."""

BACKLOG: Final = 1_600
"""Predictions that have ended before deliveries are measured, each owed to every endpoint."""

ENDS_A_SECOND: Final = 5
"""Predictions that end each second, of each of two tenants, while lag is measured."""

EARLY, LATE = 20_000, 100_000
"""Deliveries after which memory is measured."""

HANGING, REFUSING = 1, 5
"""Endpoints in trouble, of 100."""


@dataclass(frozen=True, slots=True)
class Lag:
    """One round: how late callbacks came, in ms."""

    lags_ms: list[float]

    @property
    def figure(self) -> float:
        """The 99th percentile."""
        return statistics.quantiles(self.lags_ms, n=100)[98]


@dataclass(frozen=True, slots=True)
class Memory:
    """One look, in MB."""

    figure: float


async def _end(resources: Resources, tenant: str) -> None:
    """Have one prediction complete."""
    await resources.submit.transition(await running(resources, tenant), lambda p, now: observed(p, DONE, now))


async def _tenant(resources: Resources, tenant_id: str, urls: list[str]) -> list[str]:
    """A tenant with these endpoints; their ids."""
    tenant = await resources.administer.create_tenant(tenant_id)
    made = [await resources.register_endpoint(tenant, url, ["prediction.completed"]) for url in urls]
    return [endpoint.id for endpoint, _ in made]


async def _backlog(redis_url: str, receiver_port: int, predictions: int = BACKLOG) -> None:
    """Everything that is to be delivered."""
    settings = resources_settings(redis_url).model_copy(update={"callback_allow": "127.0.0.1/32"})
    async with open_resources(settings) as resources:
        await _tenant(resources, "bench", [f"http://127.0.0.1:{receiver_port}/{n}" for n in range(ENDPOINTS)])
        for start in range(0, predictions, 100):
            await asyncio.gather(*(_end(resources, "bench") for _ in range(start, start + 100)))


def deliver(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Deliveries by one worker, against a bare loop that signs and posts the same with the same client."""
    receiver_port, metrics_port = bench.port(), bench.port()
    bench.start("benchmarks.receiver", str(receiver_port), measured=False)
    asyncio.run(_backlog(redis_url, receiver_port))
    settings = process_settings(redis_url, bench.port(), bench.port(), metrics_port)
    worker = bench.start("worker", measured=True, settings=settings)
    wait_for_url(f"http://127.0.0.1:{metrics_port}/readyz", lambda: None)
    time.sleep(2)

    def ours(seconds: float) -> Measured:
        before, cpu, started = _delivered(metrics_port), cpu_s(worker), time.monotonic()
        time.sleep(seconds)
        done = _delivered(metrics_port)
        if done > (BACKLOG - 50) * ENDPOINTS:
            raise SystemExit("everything is delivered: the figure would mean nothing")
        return Measured(done - before, time.monotonic() - started, cpu_s(worker) - cpu)

    def bare(seconds: float) -> Measured:
        output = bench.directory / "bare_sender"
        worker.send_signal(signal.SIGSTOP)  # the core is the contestant's alone
        try:
            bench.start("benchmarks.bare_sender", str(receiver_port), str(seconds), str(output), measured=True).wait()
        finally:
            worker.send_signal(signal.SIGCONT)
        done, elapsed, cpu = output.read_text().split()
        return Measured(int(done), float(elapsed), float(cpu))

    baseline = "same signature and client in a bare loop"
    return [
        MeasuredPath("deliver", "deliveries/s per core", baseline, 0.5, {"breakwater": ours, baseline: bare}),
    ]


def memory(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """How much memory a worker uses after 100,000 deliveries, against after the first 20,000."""
    receiver_port, metrics_port = bench.port(), bench.port()
    bench.start("benchmarks.receiver", str(receiver_port), measured=False)
    asyncio.run(_backlog(redis_url, receiver_port, (LATE + 2_000) // ENDPOINTS))
    settings = process_settings(redis_url, bench.port(), bench.port(), metrics_port)
    worker = bench.start("worker", measured=True, settings=settings)
    wait_for_url(f"http://127.0.0.1:{metrics_port}/readyz", lambda: None)

    @cache
    def after(deliveries: int) -> Memory:
        while _delivered(metrics_port) < deliveries:
            time.sleep(0.2)
        return Memory(resident_bytes(worker) / 1e6)

    early = after(EARLY)  # before the other is asked for
    baseline = f"after {EARLY:,} deliveries"
    ours: dict[str, Round] = {"breakwater": lambda _: after(LATE), baseline: lambda _: early}
    return [MeasuredPath("memory", f"MB resident, after {LATE:,}", baseline, 1.1, ours, less_is_better=True)]


def _delivered(metrics_port: int) -> int:
    """How many deliveries the worker has made."""
    text = httpx2.get(f"http://127.0.0.1:{metrics_port}/metrics", trust_env=False).text
    series = 'breakwater_delivery_attempts_total{outcome="delivered"}'
    return int(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series)))


def isolation(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """How late 94 healthy endpoints hear of ends, while one hangs and five refuse, against all 100 being well."""
    healthy_port, hanging_port, metrics_port = bench.port(), bench.port(), bench.port()
    refusing_port, output = bench.port(), bench.directory / "lags"
    bench.start("benchmarks.receiver", str(healthy_port), str(output), measured=False)
    bench.start("benchmarks.receiver", str(hanging_port), measured=False)
    settings = process_settings(redis_url, bench.port(), bench.port(), metrics_port)
    well = [f"http://127.0.0.1:{healthy_port}/{n}" for n in range(ENDPOINTS)]
    ill = [f"http://127.0.0.1:{hanging_port}/hang"] * HANGING + [f"http://127.0.0.1:{refusing_port}/"] * REFUSING
    troubled = [*ill, *well[len(ill) :]]
    asyncio.run(_tenants(redis_url, {"well-1": well, "well-2": well, "ill-1": troubled, "ill-2": well}))
    bench.start("worker", measured=True, settings=settings)
    wait_for_url(f"http://127.0.0.1:{metrics_port}/readyz", lambda: None)
    return [
        MeasuredPath(
            "isolation",
            "ms notify lag, p99",
            "100 healthy endpoints",
            2.0,
            {
                "breakwater": lambda seconds: _lag(redis_url, ("ill-1", "ill-2"), seconds, output),
                "100 healthy endpoints": lambda seconds: _lag(redis_url, ("well-1", "well-2"), seconds, output),
            },
            less_is_better=True,
        )
    ]


async def _tenants(redis_url: str, tenants: dict[str, list[str]]) -> None:
    """Tenants with their endpoints."""
    settings = resources_settings(redis_url).model_copy(update={"callback_allow": "127.0.0.1/32"})
    async with open_resources(settings) as resources:
        for tenant_id, urls in tenants.items():
            await _tenant(resources, tenant_id, urls)


def _lag(redis_url: str, tenants: tuple[str, ...], seconds: float, output: Path) -> Lag:
    """Have predictions of these tenants end at a fixed rate; how late their healthy endpoints hear of it."""
    before = len(output.read_text().splitlines())
    asyncio.run(_ends(redis_url, tenants, seconds))
    return Lag([float(line) for line in output.read_text().splitlines()[before:]])


async def _ends(redis_url: str, tenants: tuple[str, ...], seconds: float) -> None:
    """An open loop: what is slow does not slow it down."""
    async with open_resources(resources_settings(redis_url)) as resources:
        ends = int(seconds * ENDS_A_SECOND)
        started = time.monotonic()
        making = []
        for number in range(ends):
            await asyncio.sleep(max(0.0, started + number / ENDS_A_SECOND - time.monotonic()))
            making += [asyncio.create_task(_end(resources, tenant)) for tenant in tenants]
        await asyncio.gather(*making)
        await asyncio.sleep(2.0)  # what is late arrives
