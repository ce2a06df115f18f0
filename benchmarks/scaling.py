"""More processes: gateways that share a port, and workers that share the work, over every core of the machine.

Load generator, upstream and Redis need a core too: on two cores two gateways cannot answer twice as much. What tells is
the CPU time of one submission or look, which must stay what it is with one process.
"""

import asyncio
import sys
import time
from typing import Final

from benchmarks.ground import (
    many_running,
    new_tenant,
    process_settings,
    resources_settings,
    start_stub,
    submission,
    tenant_with,
    wait_ready,
    write_catalogue,
)
from benchmarks.measured import Figure, MeasuredPath, Round, Target
from benchmarks.processes import ALL_CORES, Bench, closed_loop, cpu_s, resident_bytes
from benchmarks.workers import LOOKS, Worker
from service.resources import open_resources

GATEWAYS: Final = (1, 2, 4)
WORKERS: Final = (1, 2)
IN_FLIGHT: Final = 3_000

_SAME_PRICE: Final = 1.25
"""How much more CPU time a submission or a look may take with several processes."""


def _name(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


def scaling(bench: Bench, _: str) -> list[MeasuredPath]:
    """Submissions through 1, 2 and 4 gateways on one port, and looks by 1 and 2 workers, a second of wall."""
    stub_port = start_stub(bench)
    gateways = {_name(count, "gateway"): _gateways(bench, stub_port, count) for count in GATEWAYS}
    workers = {_name(count, "worker"): _workers(bench, stub_port, count) for count in WORKERS}
    paths = []
    for name, unit, contestants in (
        ("gateways", "submissions/s of wall", gateways),
        ("workers", "looks/s of wall", workers),
    ):
        one, two = list(contestants)[:2]
        paths.append(MeasuredPath(name, unit, one, contestants))
        price = {each: _price_of(run) for each, run in contestants.items()}
        target = (Target(_SAME_PRICE, one, less=True, contestant=two),)
        paths.append(MeasuredPath(f"{name} price", "CPU ms each", one, price, target))
    return paths


class _Noted:
    """A round that remembers the CPU time of one, for the path that shows it."""

    def __init__(self, run: Round) -> None:
        self._run = run
        self.prices: list[float] = []

    def __call__(self, seconds: float) -> Figure:
        measured = self._run(seconds)
        self.prices.append(measured.also["CPU ms each"])
        return measured


def _price_of(run: Round) -> Round:
    """What the rounds before came to, in CPU time of one."""
    assert isinstance(run, _Noted)
    prices = iter(run.prices)
    return lambda _: Figure(next(prices))


def _gateways(bench: Bench, stub_port: int, count: int) -> Round:
    """So many gateways on a port and a Redis of their own."""
    redis_url, port = bench.redis(), bench.port()
    process = bench.run(
        [sys.executable, "-m", "service", "serve", "--workers", str(count)],
        cores=ALL_CORES,
        settings=process_settings(redis_url, stub_port, port, bench.port()),
    )
    wait_ready(port)
    time.sleep(0.5 * count)  # the first answers already
    request = submission(asyncio.run(new_tenant(redis_url)))

    def run(seconds: float) -> Figure:
        measured = closed_loop(process, port, [request], seconds)
        also = {"CPU ms each": 1e3 / measured.figure}
        return Figure(measured.also["/s of wall"], resident_mb=resident_bytes(process) / 1e6, also=also)

    return _Noted(run)


def _workers(bench: Bench, stub_port: int, count: int) -> Round:
    """So many workers that look at the same predictions, one to a core."""
    redis_url, catalogue = bench.redis(), write_catalogue(bench.directory)
    asyncio.run(_prepare(redis_url))
    workers = [
        Worker(bench, redis_url, stub_port, measured=number == 0, BREAKWATER_MODELS_FILE=catalogue)
        for number in range(count)
    ]
    for one in workers:
        one.await_work(LOOKS)
    for one in workers:
        one.pause()

    def run(seconds: float) -> Figure:
        for one in workers:
            one.go_on()
        for one in workers:
            one.await_work(LOOKS)
        before = [(one.done(LOOKS), cpu_s(one.process)) for one in workers]
        started = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - started
        after = [(one.done(LOOKS), cpu_s(one.process)) for one in workers]
        for one in workers:
            one.pause()
        done = sum(end[0] - start[0] for start, end in zip(before, after, strict=True))
        used_s = sum(end[1] - start[1] for start, end in zip(before, after, strict=True))
        return Figure(done / took_s, also={"CPU ms each": used_s / max(1, done) * 1e3})

    return _Noted(run)


async def _prepare(redis_url: str) -> None:
    """A tenant and its running predictions, all due at once."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await tenant_with(resources, "bench")
        await many_running(resources, "bench", IN_FLIGHT, next_look_s=0.0)
