"""Every suite by name: what it measures, and what it needs that may not be there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks import (
    admission,
    deliveries,
    detection,
    direct,
    growth,
    kept,
    polling,
    scaling,
    serving,
    startup,
    streams,
)
from benchmarks.contestants import litellm, nginx
from benchmarks.measured import MeasuredPath
from benchmarks.processes import Bench


def nothing_missing() -> str:
    """For suites that need nothing but this project's environment."""
    return ""


@dataclass(frozen=True, slots=True)
class Suite:
    """`paths` starts the contestants and gives what is to be measured; `missing` says what to install first, or ""."""

    paths: Callable[[Bench, str], list[MeasuredPath]]
    missing: Callable[[], str] = nothing_missing


SUITES: Final = {
    "submit": Suite(serving.submit, nginx.missing),
    "replay": Suite(serving.replay),
    "read": Suite(serving.read),
    "mixed": Suite(serving.mixed),
    "added": Suite(serving.added),
    "capacity": Suite(direct.capacity),
    "poll": Suite(polling.poll),
    "admission": Suite(admission.admission),
    "settle": Suite(polling.settle),
    "deliver": Suite(deliveries.deliver),
    "isolation": Suite(deliveries.isolation),
    "detection": Suite(detection.detection),
    "growth": Suite(growth.growth),
    "tenants": Suite(growth.tenants),
    "endpoints": Suite(growth.endpoints),
    "scaling": Suite(scaling.scaling),
    "kept": Suite(kept.kept),
    "startup": Suite(startup.startup),
    "streams": Suite(streams.streams),
}

ON_REQUEST: Final = {"before": Suite(direct.before), "litellm": Suite(litellm.litellm)}
"""Measured only when they are named."""
