"""What the catalogue is made of: metrics that know their labels' values, whose they are and how they add up."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

Process = Literal["gateway", "worker", "both"]
"""Which process counts it; the other one has it too, at its start."""

Across = Literal["sum", "max", "min"]
"""How a metric is put together over processes."""

_UNITS: Final = {"seconds": "s", "dollars": "US dollars", "ratio": "share, 1 is all of it", "info": "always 1"}


@dataclass(frozen=True, slots=True)
class Values:
    """The closed set of values a label may have. Where the configuration decides them, `told` says which they are."""

    allowed: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric as the catalogue has it; `name` is what Prometheus knows it by."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: dict[str, Values]
    process: Process
    across: Across
    metric: Counter | Gauge | Histogram


class SeriesCounter(Counter):
    """A counter that remembers its series: looking one up costs several times as much as counting."""

    _begun: tuple[int, tuple[str, ...]] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._series: dict[tuple[str, ...], Self] = {}

    def begin(self, label: int, values: tuple[str, ...]) -> None:
        """Have the series of all these values of a label begin, at zero, with the first of them."""
        self._begun = label, values

    def labels(self, *labelvalues: Any, **labels: Any) -> Self:
        """The series of these label values."""
        series = self._series.get(labelvalues)
        if series is None or labels:
            series = super().labels(*labelvalues, **labels)
            if not labels:
                self._series[labelvalues] = series
                self._begin_others(labelvalues)
        return series

    def _begin_others(self, labelvalues: tuple[str, ...]) -> None:
        """Begin the series that differ in one label from one that has just begun."""
        if self._begun is not None:
            place, values = self._begun
            for value in values:
                super().labels(*labelvalues[:place], value, *labelvalues[place + 1 :])


class FollowingGauge(Gauge):
    """A gauge that may follow a function, also where its value is shared with other processes."""

    _followed: Callable[[], float] | None = None

    def set_function(self, f: Callable[[], float]) -> None:
        """Have the value be what `f` returns."""
        super().set_function(f)
        self._followed = f

    def refresh(self) -> None:
        """Put down what the function returns now, for the others."""
        if self._followed is not None:
            self._value.set(float(self._followed()))


class Declarations:
    """Metrics, bound to one registry as they are declared.

    With a `shared` directory (`share`) they show what all processes have put there, not only this one.
    """

    def __init__(self, registry: CollectorRegistry, shared: Path | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for every one, of a time nobody asks for
        self.registry = registry
        self.declared: list[Declared] = []
        self._gauges: list[FollowingGauge] = []
        self._shown = registry
        if shared is None:
            ProcessCollector(registry=registry)
            GCCollector(registry)
        else:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, str(shared))  # type: ignore[no-untyped-call]
        self._shared = shared is not None

    def counter(self, name: str, meaning: str, process: Process, *, begun: str = "", **labels: Values) -> SeriesCounter:
        """Declare a counter; `_total` is put behind its name.

        Prometheus sees no increase in a series whose first value is 1, and an alert would miss the first of its kind:
        so series begin at zero, all of them where every label's values are closed, else those of the label `begun`.
        """
        metric = SeriesCounter(f"breakwater_{name}", meaning, tuple(labels), registry=self.registry)
        if labels and all(values.allowed for values in labels.values()):
            for labelvalues in product(*(values.allowed for values in labels.values())):
                metric.labels(*labelvalues)
        elif begun:
            metric.begin(list(labels).index(begun), labels[begun].allowed)
        self._declare(f"{name}_total", "counter", "", meaning, labels, process, "sum", metric)
        return metric

    def gauge(
        self,
        name: str,
        meaning: str,
        process: Process,
        across: Across,
        *,
        unit: str = "",
        unread: float | None = None,
        **labels: Values,
    ) -> FollowingGauge:
        """Declare a gauge; it is `unread` until it is set for the first time, where it has no labels."""
        metric = FollowingGauge(
            f"breakwater_{name}",
            meaning,
            tuple(labels),
            registry=self.registry,
            # Of the living only: what a process that has ended had open is gone with it.
            multiprocess_mode={"sum": "livesum", "max": "livemax", "min": "livemin"}[across],  # type: ignore[arg-type]
        )
        if unread is not None:
            metric.set(unread)
        self._gauges.append(metric)
        self._declare(name, "gauge", unit, meaning, labels, process, across, metric)
        return metric

    def histogram(
        self, name: str, meaning: str, process: Process, buckets: tuple[float, ...], **labels: Values
    ) -> Histogram:
        """Declare a histogram."""
        metric = Histogram(f"breakwater_{name}", meaning, tuple(labels), registry=self.registry, buckets=buckets)
        self._declare(name, "histogram", "", meaning, labels, process, "sum", metric)
        return metric

    def _declare(
        self,
        name: str,
        kind: Literal["counter", "gauge", "histogram"],
        unit: str,
        meaning: str,
        labels: dict[str, Values],
        process: Process,
        across: Across,
        metric: Counter | Gauge | Histogram,
    ) -> None:
        """Put it into the catalogue."""
        unit = unit or _UNITS.get(name.rpartition("_")[2], "count")
        self.declared.append(Declared(f"breakwater_{name}", kind, unit, meaning, labels, process, across, metric))

    def refresh(self) -> None:
        """Put down what gauges follow, for the other processes; alone, they are asked when they are shown."""
        if self._shared:
            for gauge in self._gauges:
                gauge.refresh()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format; `refresh` before. May be called in a thread of its own.

        With thousands of series of several processes it takes a quarter of a second.
        """
        return generate_latest(self._shown)
