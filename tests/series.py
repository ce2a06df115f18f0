"""Every series a process has counted, held against what the catalogue declares."""

from collections.abc import Collection, Mapping
from typing import Final

from service.metrics import Metrics
from service.metrics.declared import Values

Labels = tuple[tuple[str, str], ...]

_OF_THE_PROCESS: Final = ("process_", "python_gc_")
"""Beginnings of the names that are prometheus_client's own."""


def series_of(metrics: Metrics) -> set[tuple[str, Labels]]:
    """Every series, by the name of its metric and its labels; the buckets of a histogram count as one."""
    return {
        (family.name, tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le")))
        for family in metrics.registry.collect()
        for sample in family.samples
        if not family.name.startswith(_OF_THE_PROCESS)
    }


def undeclared(metrics: Metrics, configured: Mapping[Values, Collection[str]] | None = None) -> list[str]:
    """The series whose metric, label or value no declaration has.

    `configured` says what the configuration decides: without it, only values the catalogue itself names are looked at.
    """
    declared = {one.name.removesuffix("_total"): one.labels for one in metrics.declared}

    def fits(values: Values, value: str) -> bool:
        if values.allowed:
            return value in values.allowed
        return configured is None or value in configured[values]

    return [
        f"{name}{dict(labels)}"
        for name, labels in sorted(series_of(metrics))
        if name not in declared
        or (labels and {label for label, _ in labels} != set(declared[name]))
        or not all(fits(declared[name][label], value) for label, value in labels)
    ]
