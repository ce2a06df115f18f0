"""How soon a tenant hears that a run has ended, and how often the upstream is asked for it.

Videos take minutes, so the runs are drawn and not waited for: durations from a log-normal distribution, and the looks
at each from the profile's own code. How late a worker is at a look that is due, how late a callback of the tenant
comes after the event, and how long the upstream's callback takes are measured on real processes, and added.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx2

from benchmarks.ground import (
    MODEL,
    http_request,
    new_tenant,
    process_settings,
    resources_settings,
    running,
    start_stub,
    tenant_with,
    wait_ready,
)
from benchmarks.measured import OURS, Figure, MeasuredPath, Round, Target, percentile
from benchmarks.processes import Bench, open_loop
from benchmarks.workers import Worker
from service.domain.catalogue_file import read_catalogue
from service.domain.polling import PollProfile, first_look_s, next_look_s
from service.resources import Resources, open_resources

RUNS: Final = 20_000
"""How many are drawn."""

MEDIAN_S, SIGMA, SHORTEST_S, LONGEST_S = 90.0, 0.5, 5.0, 1_500.0
"""How long videos take: log-normal, so that half take less than the median and one in forty 2.7 times as much."""

FIXED_S: Final = 5.0
FIXED: Final = f"a look every {FIXED_S:g} s"
CALLED_BACK: Final = "breakwater, upstream webhooks"
SOME_LOST: Final = "breakwater, upstream webhooks, 1 in 100 lost"

REAL: Final = 300
"""Real predictions by which lateness is measured, due over `REAL_S`."""
REAL_S: Final = 3.0

CALLBACKS: Final = 100
"""Real runs that the upstream calls back about."""


@dataclass(frozen=True, slots=True)
class Detected:
    """One run: how long after its end a look saw it, and how many looks were made."""

    late_s: float
    reads: int


def durations(count: int, seed: int = 7) -> list[float]:
    """How long so many runs take."""
    rolls = random.Random(seed)  # noqa: S311 the same draw each time
    drawn = (MEDIAN_S * rolls.lognormvariate(0.0, SIGMA) for _ in range(count))
    return [min(LONGEST_S, max(SHORTEST_S, one)) for one in drawn]


def polled(
    profile: PollProfile, duration_s: float, roll: Callable[[], float], told_at_s: float | None = None
) -> Detected:
    """Look at one run as the profile says until it has ended, or, if somebody tells of that, until then."""
    at_s, reads = first_look_s(profile, roll()), 1
    while at_s < duration_s:
        at_s += next_look_s(profile, at_s, roll())
        reads += 1
    if told_at_s is not None and told_at_s <= at_s:  # the look that would have seen it is not made
        return Detected(told_at_s - duration_s, reads - 1)
    return Detected(at_s - duration_s, reads)


def every(step_s: float, duration_s: float, offset: float) -> Detected:
    """Look at one run at a fixed step; `offset` is where in a step it began."""
    at_s, reads = step_s * offset, 1
    while at_s < duration_s:
        at_s += step_s
        reads += 1
    return Detected(at_s - duration_s, reads)


def detection(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Delay and upstream reads: by our profile, with upstream webhooks, and by a look every five seconds."""
    looked_ms, told_ms = _lateness(bench, redis_url)
    called_ms = _called_back(bench, bench.redis())
    profile = read_catalogue().get(MODEL).poll
    rolls = random.Random(11)  # noqa: S311
    runs = durations(RUNS)

    def webhooks(lost: float) -> list[Detected]:
        safety_net = profile.as_safety_net()
        seen = []
        for run_s in runs:
            told_at_s = None if rolls.random() < lost else run_s + rolls.choice(called_ms) / 1e3
            seen.append(polled(safety_net, run_s, rolls.random, told_at_s))
        return seen

    contestants = {
        OURS: _shown([polled(profile, one, rolls.random) for one in runs], looked_ms, told_ms),
        CALLED_BACK: _shown(webhooks(0.0), (0.0,), told_ms),
        SOME_LOST: _shown(webhooks(0.01), (0.0,), told_ms),
        FIXED: _shown([every(FIXED_S, one, rolls.random()) for one in runs], looked_ms, told_ms),
    }
    measured = {
        "due look to event": looked_ms,
        "event to the tenant's callback": told_ms,
        "upstream's end to event, by its callback": called_ms,
    }
    lateness = "; ".join(
        f"{what} p50 {percentile(late_ms, 0.5):.0f} ms, p99 {percentile(late_ms, 0.99):.0f} ms"
        for what, late_ms in measured.items()
    )
    notes = (
        f"{RUNS:,} runs drawn from a log-normal distribution: median {MEDIAN_S:g} s, sigma {SIGMA:g}, within"
        f" {SHORTEST_S:g} and {LONGEST_S:g} s. Looks by the profile of {MODEL}. Lateness measured on real processes"
        f" and added: {lateness}.",
    )
    targets = (Target(0.5, FIXED, less=True),)
    return [
        MeasuredPath("detection", "upstream reads a prediction", FIXED, contestants, targets, rounds=1, notes=notes)
    ]


def _shown(seen: Sequence[Detected], looked_ms: Sequence[float], told_ms: Sequence[float]) -> Round:
    """What the runs come to, with real lateness added to each."""
    rolls = random.Random(13)  # noqa: S311
    event_s = [one.late_s + rolls.choice(looked_ms) / 1e3 for one in seen]
    tenant_s = [one + rolls.choice(told_ms) / 1e3 for one in event_s]
    also = {
        "s to event, p50": percentile(event_s, 0.5),
        "p99": percentile(event_s, 0.99),
        "s to callback, p50": percentile(tenant_s, 0.5),
        "callback p99": percentile(tenant_s, 0.99),
    }
    return lambda _: Figure(statistics.fmean(one.reads for one in seen), also=also)


def _lateness(bench: Bench, redis_url: str) -> tuple[list[float], list[float]]:
    """How late a real worker writes the end that a due look finds, and the tenant's callback comes, in ms."""
    receiver_port, output = bench.port(), bench.directory / "detected"
    bench.start("benchmarks.receiver", str(receiver_port), str(output), measured=False)
    Worker(bench, redis_url, start_stub(bench, "completed"))

    async def run() -> list[float]:
        async with open_resources(resources_settings(redis_url)) as resources:
            await tenant_with(resources, "detected", [f"http://127.0.0.1:{receiver_port}/hook"])
            due: dict[str, float] = {}

            async def one(number: int) -> None:
                in_s = 1.0 + REAL_S * number / REAL
                made = await running(resources, "detected", next_look_s=in_s)
                due[made.id] = resources.clock() + in_s

            await asyncio.gather(*(one(number) for number in range(REAL)))
            return await _ended_after(resources, due)

    looked_ms = asyncio.run(run())
    time.sleep(1)  # the last callbacks arrive
    return looked_ms, [float(line) for line in output.read_text().splitlines()]


async def _ended_after(resources: Resources, since: dict[str, float]) -> list[float]:
    """How long after these times each of these predictions ended, in ms."""
    late_ms, until = [], time.monotonic() + REAL_S + 20.0
    for prediction_id, at_s in since.items():
        while True:
            prediction = await resources.predictions.load(prediction_id)
            if prediction is not None and prediction.state.ended:
                late_ms.append(max(0.0, prediction.ended_at_ms - at_s * 1e3))
                break
            if time.monotonic() > until:
                raise SystemExit("predictions that should have ended did not: there are no figures")
            await asyncio.sleep(0.05)
    return late_ms


def _called_back(bench: Bench, redis_url: str) -> list[float]:
    """How long it takes from the end of a run to its event when the upstream calls back, in ms, with real processes."""
    upstream_port, port = bench.port(), bench.port()
    bench.start("simulator", "--port", str(upstream_port), "--key", "not-a-real-key", measured=False)
    wait_ready(upstream_port, "/_control/state")
    environment = process_settings(
        redis_url,
        upstream_port,
        port,
        bench.port(),
        BREAKWATER_UPSTREAM_WEBHOOKS="on",
        BREAKWATER_SIGNING_KEY="signs-ids-while-measured",
        BREAKWATER_PUBLIC_URL=f"http://127.0.0.1:{port}",
    )
    bench.start("service", "serve", measured=True, settings=environment)
    wait_ready(port)
    key = asyncio.run(new_tenant(redis_url))
    prompts = [b'{"prompt":"a wave [sim:duration=%.3f]"}' % (1.0 + number / CALLBACKS) for number in range(CALLBACKS)]
    requests = [http_request("POST", f"/api/v3/{MODEL}", key, prompt) for prompt in prompts]
    open_loop(port, requests, CALLBACKS / 2, 2.0)
    shown = httpx2.get(f"http://127.0.0.1:{upstream_port}/_control/state", trust_env=False).json()["submissions"]
    ends = {
        one["id"]: datetime.fromisoformat(one["created_at"]).timestamp() + _duration_s(one["input"]["prompt"])
        for one in shown
    }

    async def run() -> list[float]:
        async with open_resources(resources_settings(redis_url)) as resources:
            page = httpx2.get(
                f"http://127.0.0.1:{port}/v1/predictions?limit={CALLBACKS}",
                headers={"authorization": f"Bearer {key}"},
                trust_env=False,
            ).json()
            since: dict[str, float] = {}
            for one in page["data"]:
                prediction = await resources.predictions.load(one["id"])
                assert prediction is not None
                since[prediction.id] = ends[prediction.upstream_id]
            return await _ended_after(resources, since)

    return asyncio.run(run())


def _duration_s(prompt: str) -> float:
    """How long the simulator was asked to take."""
    return float(prompt.partition("duration=")[2].partition("]")[0])
