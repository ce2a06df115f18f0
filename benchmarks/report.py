"""The results page: one section a path, and before them which targets were met. Pure text from figures."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from benchmarks.measured import Figure, MeasuredPath, Target, percentile

_SECTION: Final = "\n\n## "
_SUMMARY: Final = "targets"
_TARGET: Final = re.compile(r"^- target: (?P<wanted>.+); reached (?P<reached>\S+), (?P<verdict>met|missed)$")


def shown(figure: float) -> str:
    """A figure in the digits that mean anything."""
    size = abs(figure)
    return f"{figure:,.0f}" if size >= 100 else f"{figure:,.1f}" if size >= 10 else f"{figure:,.2f}"


def medians(figures: Mapping[str, Sequence[Figure]]) -> dict[str, float]:
    """Each contestant's median."""
    return {name: statistics.median(one.figure for one in rounds) for name, rounds in figures.items()}


def table(path: MeasuredPath, figures: Mapping[str, Sequence[Figure]]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of one path; a column that no contestant has is left out."""
    middle = medians(figures)
    also = list(dict.fromkeys(name for rounds in figures.values() for one in rounds for name in one.also))
    timed = any(one.latencies_ms for rounds in figures.values() for one in rounds)
    weighed = any(one.resident_mb is not None for rounds in figures.values() for one in rounds)
    columns = ["contestant", path.unit, "spread", "ratio"]
    columns += ["CPU ms each"] if path.per_core else []
    columns += [f"p50 ms at {path.at_rate}/s", "p99 ms"] if timed else []
    columns += ["MB"] if weighed else []
    rows = []
    for name, rounds in figures.items():
        values = [one.figure for one in rounds]
        base = middle.get(path.baseline)
        row = [name, shown(middle[name]), f"{shown(min(values))} to {shown(max(values))}"]
        row.append(f"{middle[name] / base:.2f}" if base else "")
        row += [f"{1000 / middle[name]:.3f}" if middle[name] else ""] if path.per_core else []
        if timed:
            taken = [latency for one in rounds for latency in one.latencies_ms]
            row += [f"{percentile(taken, share):.2f}" for share in (0.5, 0.99)] if taken else ["", ""]
        if weighed:
            weights = [one.resident_mb for one in rounds if one.resident_mb is not None]
            row.append(shown(max(weights)) if weights else "")
        for column in also:
            seen = [one.also[column] for one in rounds if column in one.also]
            row.append(shown(statistics.median(seen)) if seen else "")
        rows.append(row)
    return columns + also, rows


def wanted(target: Target, unit: str) -> str:
    """A target in words."""
    bound = f"at {'most' if target.less else 'least'} {target.bound:g}"
    match target.by:
        case "ratio":
            words = f"{bound} of {target.against}"
        case "difference":
            words = f"{bound} {unit} more than {target.against}"
        case "value":
            words = f"{bound} {unit}"
    return words if target.contestant == "breakwater" else f"{target.contestant}: {words}"


def section(path: MeasuredPath, figures: Mapping[str, Sequence[Figure]]) -> tuple[str, list[str]]:
    """One path's section of the page, and a line for each target that was missed."""
    middle = medians(figures)
    base, ours = middle.get(path.baseline), next(iter(middle))
    head = f"{path.name}: {middle[ours] / base:.2f} of {path.baseline}" if base else f"{path.name}: {path.unit}"
    lines, missed = [head, ""], []
    for target in path.targets:
        reached = target.reached(middle)
        words = wanted(target, path.unit)
        lines.append(f"- target: {words}; reached {reached:.2f}, {'met' if target.met(reached) else 'missed'}")
        if not target.met(reached):
            missed.append(f"missed: {path.name} reached {reached:.2f}, wanted {words}")
    lines += [""] if path.targets else []
    columns, rows = table(path, figures)
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", *path.notes] if path.notes else []
    return "\n".join(lines), missed


def name_of(text: str) -> str:
    """The path a section is about."""
    return text.partition("\n")[0].partition(":")[0]


def summary(sections: Iterable[str]) -> str:
    """Which targets there are, and which of them are met."""
    lines = [_SUMMARY, "", "| path | wanted | reached | |", "|---|---|---|---|"]
    for text in sections:
        for line in text.splitlines():
            if found := _TARGET.match(line):
                lines.append(f"| {name_of(text)} | {found['wanted']} | {found['reached']} | {found['verdict']} |")
    return "\n".join(lines)


def merged(page: str, sections: Iterable[str]) -> str:
    """The results page with these paths' sections in place of their earlier ones, after the targets of all."""
    first, *earlier = page.rstrip("\n").split(_SECTION)
    named = {name_of(text): text for text in [*earlier, *sections]}
    named.pop(_SUMMARY, None)
    return _SECTION.join([first, summary(named.values()), *named.values()]) + "\n"
