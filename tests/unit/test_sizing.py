"""The arithmetic of docs/sizing.md: every number follows from what was measured, and from named assumptions."""

import re
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

import pytest

from service.domain.capacity import TIERS
from service.domain.catalogue_file import read_catalogue
from service.domain.polling import first_look_s, next_look_s
from service.domain.predictions import RETENTION_MS
from service.settings import Settings
from service.stores.redis_state import FULL_AT

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "sizing.md"
RESULTS: Final = ROOT / "benchmarks" / "results.md"

SUBMITS_PER_CORE: Final = 1_000
READS_PER_CORE: Final = 6_000
LOOKS_PER_CORE: Final = 2_000
DELIVERIES_PER_CORE: Final = 1_500
"""What is planned with, a second: about half of what was measured, so that a replica has room for a bad minute."""

RUN_S: Final = 60.0
"""How long a video takes."""

PEAK: Final = 3.0
"""How much busier the busiest minute is than the day's mean."""

READ_EVERY_S: Final = 2.0
"""How often a service that polls reads a result."""

CALLBACKS: Final = 2
"""One endpoint that is told of `processing` and `completed`."""

READS: Final = RUN_S / READ_EVERY_S
"""How often a service that polls reads the result of one prediction."""

KEPT_BYTES: Final = 7_500
"""What a prediction keeps in Redis. The cost test holds that what is measured is no more."""

REDIS_MS: Final = 0.7
"""Processor time of Redis for a prediction, its looks and callbacks included."""

READ_MS: Final = 0.02
"""Processor time of Redis for one read of a result."""

DAYS: Final = (10_000, 100_000, 1_000_000, 2_400_000, 7_200_000)


def looks(run_s: float) -> int:
    """How many looks a run takes, the one that finds it ended included, in the middle of the jitter."""
    profile, at_s, count = read_catalogue().get("openai/sora-2").poll, 0.0, 0
    while at_s < run_s:
        at_s += next_look_s(profile, at_s, 0.5) if count else first_look_s(profile, 0.5)
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class Load:
    """What so many predictions a day come to in their busiest minute."""

    a_day: int

    @property
    def starts_per_s(self) -> float:
        """Submissions a second."""
        return self.a_day / 86_400 * PEAK

    @property
    def at_once(self) -> float:
        """Predictions that run at a time."""
        return self.starts_per_s * RUN_S

    @property
    def tier(self) -> str:
        """The smallest level of the account that allows it."""
        for name, capacity in TIERS.items():
            if round(self.starts_per_s * 60, 3) <= capacity.per_minute["video"] and self.at_once <= (
                capacity.concurrency or 0
            ):
                return name
        return "more than ultra"

    @property
    def looks_per_s(self) -> float:
        """Looks at WaveSpeed a second."""
        return self.starts_per_s * looks(RUN_S)

    @property
    def reads_per_s(self) -> float:
        """Reads of services that poll, a second."""
        return self.starts_per_s * READS

    @property
    def callbacks_per_s(self) -> float:
        """Callbacks a second."""
        return self.starts_per_s * CALLBACKS

    @property
    def gateway_cores(self) -> float:
        """Cores the gateways use."""
        return self.starts_per_s / SUBMITS_PER_CORE + self.reads_per_s / READS_PER_CORE

    @property
    def worker_cores(self) -> float:
        """Cores the workers use."""
        return self.looks_per_s / LOOKS_PER_CORE + self.callbacks_per_s / DELIVERIES_PER_CORE

    @property
    def redis_core(self) -> float:
        """The share of its one core that Redis uses."""
        return (self.starts_per_s * REDIS_MS + self.reads_per_s * READ_MS) / 1000

    @property
    def redis_gb(self) -> float:
        """What Redis holds after a week."""
        return self.a_day * RETENTION_MS / 86_400_000 * KEPT_BYTES / 1e9


def replicas(cores: float) -> int:
    """How many processes: one core each, and two at least, so that one may be away."""
    return max(2, ceil(cores) + 1)


def _number(value: float) -> str:
    """A number with as many digits as mean anything."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def plan() -> str:
    """The capacity plan, a row a step and a column a load."""
    loads = [Load(count) for count in DAYS]
    rows = {
        "submissions a second, busiest minute": [_number(one.starts_per_s) for one in loads],
        "predictions at once": [_number(one.at_once) for one in loads],
        "account level needed": [one.tier for one in loads],
        "looks at WaveSpeed a second": [_number(one.looks_per_s) for one in loads],
        "reads of services that poll, a second": [_number(one.reads_per_s) for one in loads],
        "callbacks a second": [_number(one.callbacks_per_s) for one in loads],
        "gateway cores": [_number(one.gateway_cores) for one in loads],
        "gateway replicas": [str(replicas(one.gateway_cores)) for one in loads],
        "worker cores": [_number(one.worker_cores) for one in loads],
        "worker replicas": [str(replicas(one.worker_cores)) for one in loads],
        "Redis: share of its core": [f"{one.redis_core:.1%}" for one in loads],
        "Redis: GB held after a week": [_number(one.redis_gb) for one in loads],
        "Redis: `maxmemory` in GB": [_number(one.redis_gb / FULL_AT) for one in loads],
    }
    head = ["| predictions a day | " + " | ".join(f"{one:,}" for one in DAYS) + " |", "|---|" + "---|" * len(DAYS)]
    return "\n".join([*head, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items())])


def per_thousand() -> str:
    """What a thousand predictions at once take."""
    load = Load(round(1_000 / RUN_S * 86_400 / PEAK))
    rows = {
        "submissions a second": _number(load.starts_per_s),
        "gateway cores, with services that poll": _number(load.gateway_cores),
        "gateway cores, with callbacks alone": _number(load.starts_per_s / SUBMITS_PER_CORE),
        "looks a second": _number(load.looks_per_s),
        "callbacks a second": _number(load.callbacks_per_s),
        "worker cores": _number(load.worker_cores),
    }
    return "\n".join(["| for 1,000 predictions at once | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())])


@pytest.mark.parametrize(("name", "table"), [("plan", plan), ("thousand", per_thousand)])
def test_the_tables_are_the_arithmetic_s(name: str, table: object) -> None:
    """What the page shows is what comes of its assumptions."""
    assert callable(table)
    written = PAGE.read_text().split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip()
    assert written == table(), f"put this between the markers:\n\n{table()}"


@pytest.mark.parametrize(
    ("planned", "heading"),
    [
        (SUBMITS_PER_CORE, "submit"),
        (READS_PER_CORE, "read"),
        (LOOKS_PER_CORE, "poll"),
        (DELIVERIES_PER_CORE, "deliver"),
    ],
)
def test_nothing_is_planned_that_was_not_measured(planned: int, heading: str) -> None:
    """What a core is planned with is at most 60 % of what the benchmark has for it."""
    section = RESULTS.read_text().split(f"\n## {heading}: ")[1]
    measured = re.search(r"\| breakwater \| ([\d,]+) \|", section)
    assert measured
    assert planned <= 0.6 * int(measured[1].replace(",", ""))


def test_the_assumptions_stand_on_the_page() -> None:
    """Each number that was not measured is named as what it is."""
    text = PAGE.read_text()
    for assumed in (
        f"{RUN_S:.0f} s",
        f"{PEAK:.0f} times",
        f"every {READ_EVERY_S:.0f} s",
        f"{KEPT_BYTES:,} bytes",
        f"{REDIS_MS} ms",
        f"{READ_MS} ms",
        f"{READS:.0f} reads",
        *(f"{rate:,}" for rate in (SUBMITS_PER_CORE, READS_PER_CORE, LOOKS_PER_CORE, DELIVERIES_PER_CORE)),
        f"{looks(RUN_S)} looks",
        f"{looks(RUN_S * 3)} looks",
        f"{Settings.model_fields['upstream_reads_per_s'].default} looks",
    ):
        assert assumed in text, assumed


def _millions_a_day(per_s: float) -> int:
    """So many millions a day have this many in each second of the busiest minute: whole ones."""
    return int(per_s / PEAK * 86_400 / 1e6)


def test_the_limits_follow_from_the_assumptions() -> None:
    """Where Redis is full stands on the page as it comes out, for teams that poll and for those that do not."""
    limits = PAGE.read_text().split("## Which limit comes first")[1]
    polling, alone = 1000 / (REDIS_MS + READS * READ_MS), 1000 / REDIS_MS
    for said in (
        f"a million a day is {Load(1_000_000).redis_gb:.0f} GB",
        f"{polling:,.0f} predictions a second with services that poll, over {_millions_a_day(polling)} million a day",
        f"{alone:,.0f} with callbacks alone, over {_millions_a_day(alone)} million",
    ):
        assert said in " ".join(limits.split()), said
