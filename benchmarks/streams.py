"""Streams and held requests by the thousand on one gateway: what each costs, and how soon it is told of an end."""

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from uuid_utils import uuid7

from benchmarks.ground import DONE, many_running, process_settings, resources_settings, tenant_with, wait_ready
from benchmarks.measured import OURS, ROUNDS, Figure, MeasuredPath, Round, Target, percentile
from benchmarks.processes import Bench, cpu_s, metric, resident_bytes
from service.domain.moves import observed
from service.domain.predictions import Prediction
from service.http.native.event_stream import HEARTBEAT_S
from service.resources import Resources, open_resources

OPEN: Final = 5_000
"""Streams on one gateway, opened in equal parts in each round."""

FEW: Final = 10
"""Streams on the gateway it is compared with."""

ENDS_A_SECOND: Final = 100
"""Predictions that end while delays are measured, for `ENDING_S` a round."""

ENDING_S: Final = 1.5

_PATIENCE_S: Final = 20.0
"""Longest wait for anything: past it the figures would mean nothing."""

_STREAM: Final = "GET /v1/predictions/{{}}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
_HELD: Final = "GET /v1/predictions/{{}} HTTP/1.1\r\nhost: x\r\nprefer: wait=50\r\nauthorization: Bearer {key}\r\n\r\n"


@dataclass(slots=True)
class Crowd:
    """One contestant, and the process of its callers; `opened` has what each round of opening came to."""

    process: subprocess.Popen[bytes]
    port: int
    callers: subprocess.Popen[bytes]
    heard: Callable[[], str]
    opened: list[tuple[float, float]] = field(default_factory=list)

    @property
    def open(self) -> int:
        """How many it has open now, as it says itself."""
        return int(metric(self.port, "breakwater_streams_open"))

    def add(self, ids: list[str]) -> None:
        """Have these listened to as soon as there is room."""
        assert self.callers.stdin is not None
        self.callers.stdin.write("".join(f"{one}\n" for one in ids).encode())
        self.callers.stdin.flush()

    def open_more(self, ids: list[str]) -> None:
        """Open these, and note what that cost."""
        seen, resident, cpu, before = (
            self.heard().count("open "),
            resident_bytes(self.process),
            cpu_s(self.process),
            self.open,
        )
        self.add(ids)
        _until(lambda: self.heard().count("open ") == seen + len(ids), "streams to open")
        _until(lambda: self.open == before + len(ids), "streams to be held")
        grown, took = resident_bytes(self.process) - resident, cpu_s(self.process) - cpu
        self.opened.append((grown / len(ids) / 1e3, len(ids) / max(took, 0.01)))

    def ends(self) -> dict[str, float]:
        """When each end was heard of, in unix time."""
        return {parts[1]: float(parts[2]) for line in self.heard().splitlines() if (parts := line.split())[0] == "end"}


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {_PATIENCE_S:g} s in vain for {what}: there are no figures")
        time.sleep(0.05)


async def _prepare(redis_url: str, count: int) -> tuple[str, list[Prediction]]:
    """A tenant's key, and so many running predictions of its own."""
    async with open_resources(resources_settings(redis_url)) as resources:
        key = await tenant_with(resources, "bench")
        return key, await many_running(resources, "bench", count)


async def _end(redis_url: str, predictions: list[Prediction]) -> dict[str, float]:
    """End them one after the other at a fixed rate; when each settle was begun, in unix time."""
    begun: dict[str, float] = {}

    async def end(resources: Resources, one: Prediction) -> None:
        begun[one.id] = time.time()
        await resources.submit.transition(one, lambda p, now: observed(p, DONE, now))

    async with open_resources(resources_settings(redis_url)) as resources:
        await resources.commands("PING")
        started, ending = time.monotonic(), []
        for number, one in enumerate(predictions):
            await asyncio.sleep(max(0.0, started + number / ENDS_A_SECOND - time.monotonic()))
            ending.append(asyncio.create_task(end(resources, one)))
        await asyncio.gather(*ending)
    return begun


def _crowd(bench: Bench, redis_url: str, width: int, head: str, *, bare: bool = False) -> Crowd:
    """A gateway, or a bare Starlette in its place, and its callers."""
    port, output = bench.port(), bench.directory / f"heard-{uuid7().hex}"
    output.touch()
    if bare:
        process = bench.start("benchmarks.contestants", "streams", str(port), "0", measured=True)
    else:
        settings = process_settings(
            redis_url,
            bench.port(),
            port,
            bench.port(),
            BREAKWATER_TENANT_STREAMS=str(OPEN),
            BREAKWATER_SHUTDOWN_GRACE_S="0",
        )
        process = bench.start("service", "serve", measured=True, settings=settings)
    wait_ready(port, "/metrics" if bare else "/readyz")
    arguments = str(port), str(width), str(output), head
    callers = bench.start("benchmarks.listeners", *arguments, measured=False, fed=True)
    return Crowd(process, port, callers, output.read_text)


def _opening(one: Crowd, ids: list[str]) -> Round:
    """Opens a part of them in each round; its figure is kB of memory for each."""

    def run(_: float) -> Figure:
        turn = len(one.opened)
        one.open_more(ids[len(ids) * turn // ROUNDS : len(ids) * (turn + 1) // ROUNDS])
        return Figure(one.opened[-1][0])

    return run


def _opened(one: Crowd) -> Round:
    """What the rounds of `_opening` came to, in streams opened per second of CPU."""
    rates = (rate for _, rate in one.opened)
    return lambda _: Figure(next(rates))


def _delays(redis_url: str, one: Crowd, width: int, predictions: list[Prediction]) -> tuple[Round, Round]:
    """Ends predictions that are listened to, with `width` open all the time: p50 of how late that is heard, and p99."""
    ends = int(ENDS_A_SECOND * ENDING_S)
    late_ms: list[list[float]] = []

    def p50(_: float) -> Figure:
        start = ends * len(late_ms)
        if one.open < width:
            one.open_more([prediction.id for prediction in predictions[:width]])
        one.add([prediction.id for prediction in predictions[width + start : width + start + ends]])
        begun = asyncio.run(_end(redis_url, predictions[start : start + ends]))
        _until(lambda: len(one.ends()) == start + ends, "ends to be heard of")
        _until(lambda: one.open == width, "the next to be open")
        heard = one.ends()
        late_ms.append([(heard[name] - at) * 1e3 for name, at in begun.items()])
        return Figure(statistics.median(late_ms[-1]))

    latest = (Figure(percentile(late, 0.99)) for late in late_ms)
    return p50, lambda _: next(latest)


def _idle(crowds: Sequence[Crowd], held: Crowd) -> list[Round]:
    """CPU time of each, in ms a second, over a time in which every stream is sent a heartbeat; who was held leaves."""

    @cache
    def used() -> list[Figure]:
        held.callers.kill()
        _until(lambda: held.open == 0, "the places to be free")
        before = [cpu_s(one.process) for one in crowds]
        time.sleep(HEARTBEAT_S)
        after = [cpu_s(one.process) for one in crowds]
        return [Figure((end - start) / HEARTBEAT_S * 1e3) for start, end in zip(before, after, strict=True)]

    def of(number: int) -> Round:
        return lambda _: used()[number]

    return [of(number) for number in range(len(crowds))]


def streams(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Memory and CPU of 5,000 streams and of as many held requests, and the delay from settle to event."""
    ends = int(ENDS_A_SECOND * ENDING_S) * ROUNDS
    key, predictions = asyncio.run(_prepare(redis_url, OPEN + ends + FEW + ends))
    ids = [one.id for one in predictions[:OPEN]]
    stream, hold = _STREAM.format(key=key), _HELD.format(key=key)
    ours, bare = _crowd(bench, redis_url, OPEN, stream), _crowd(bench, redis_url, OPEN, stream, bare=True)
    held, bare_held = _crowd(bench, redis_url, OPEN, hold), _crowd(bench, redis_url, OPEN, hold, bare=True)
    calm = _crowd(bench, redis_url, FEW, stream)
    bare_stream, few = "bare Starlette stream", f"{FEW} open streams"
    crowds = {
        OURS: ours,
        bare_stream: bare,
        "breakwater, held request": held,
        "bare Starlette, held request": bare_held,
    }
    idle, bare_idle, calm_idle = _idle((ours, bare, calm), held)
    p50, p99 = _delays(redis_url, ours, OPEN, predictions[: OPEN + ends])
    calm_p50, calm_p99 = _delays(redis_url, calm, FEW, predictions[OPEN + ends :])
    return [
        MeasuredPath(
            "stream memory",
            "kB for each of 5,000",
            bare_stream,
            {name: _opening(one, ids) for name, one in crowds.items()},
            (Target(1.3, bare_stream, less=True),),
        ),
        MeasuredPath(
            "stream opening",
            "opened/s per core",
            bare_stream,
            {name: _opened(one) for name, one in crowds.items()},
            (Target(1.0, bare_stream),),
            per_core=True,
        ),
        MeasuredPath(
            "stream idle",
            "ms CPU/s with 5,000 open",
            bare_stream,
            {OURS: idle, bare_stream: bare_idle, "breakwater, nothing open": calm_idle},
            (Target(2.0, bare_stream, less=True),),
            rounds=1,
        ),
        MeasuredPath(
            "stream delay",
            "ms from settle to event, 5,000 open, p50",
            few,
            {OURS: p50, few: calm_p50, "breakwater, p99": p99, f"{few}, p99": calm_p99},
            (Target(3.0, few, less=True),),
        ),
    ]
