"""What a benchmark comes to: figures, the paths they belong to, and the targets they are held against. Pure."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final, Literal

OURS: Final = "breakwater"
"""The contestant that is ours."""

ROUNDS: Final = 3
"""How often each contestant of a path is measured, in turn with the others."""

ROUND_S: Final = float(os.environ.get("ROUND_S", "1.2"))
"""How long one round drives its contestant; `make bench ROUND_S=0.3` shows that everything runs, and no more."""

FIXED_RATE: Final = 300
"""Requests a second, for every contestant the same, at which latencies are taken."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round comes to: the number that counts, and what else it saw.

    `latencies_ms` were taken at a fixed rate; `also` are further columns, by name.
    """

    figure: float
    latencies_ms: tuple[float, ...] = ()
    resident_mb: float | None = None
    also: Mapping[str, float] = field(default_factory=dict)


Round = Callable[[float], Figure]
"""Runs one contestant for about so many seconds."""

By = Literal["ratio", "difference", "value"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a path is to reach: at least `bound`, or at most if `less`.

    It is the contestant's figure divided by another's, less another's, or as it is.
    """

    bound: float
    against: str = ""
    less: bool = False
    by: By = "ratio"
    contestant: str = OURS

    def reached(self, medians: Mapping[str, float]) -> float:
        """What these medians come to."""
        own = medians[self.contestant]
        if self.by == "value":
            return own
        other = medians[self.against]
        if self.by == "difference":
            return own - other
        return own / other if other else 0.0

    def met(self, reached: float) -> bool:
        """Whether that is enough."""
        return reached <= self.bound if self.less else reached >= self.bound


@dataclass(frozen=True, slots=True)
class MeasuredPath:
    """One measured path: its contestants, the one that ratios are to, and the targets.

    `at_rate` is at which latencies were taken; `notes` stand below the table.
    """

    name: str
    unit: str
    baseline: str
    contestants: Mapping[str, Round]
    targets: tuple[Target, ...] = ()
    rounds: int = ROUNDS
    per_core: bool = False
    at_rate: int = FIXED_RATE
    notes: tuple[str, ...] = ()


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of all are not above (nearest rank). Raises `ValueError` for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there is no percentile of nothing")
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
