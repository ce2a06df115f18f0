"""WaveSpeed's side: it takes what comes, or answers 429 when it is more than it allows at that moment."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from service.domain.capacity import CLASSES, ModelClass
from tests.simulation.traffic import Day

Verdict = Literal["taken", "concurrency", "rate"]


@dataclass
class Upstream:
    """What runs there, and when submissions came. `begun_ms` is when the day began."""

    day: Day
    begun_ms: int
    running: set[str] = field(default_factory=set)
    came_ms: dict[ModelClass, list[int]] = field(default_factory=lambda: {one: [] for one in CLASSES})
    taken_ms: dict[ModelClass, deque[int]] = field(default_factory=lambda: {one: deque() for one in CLASSES})
    most_running: int = 0
    refused: int = 0

    def receive(self, prediction_id: str, model_class: ModelClass, now_ms: int) -> Verdict:
        """A submission comes."""
        self.came_ms[model_class].append(now_ms)
        concurrency, per_minute = self._limits(now_ms)
        taken = self.taken_ms[model_class]
        while taken and taken[0] <= now_ms - 60_000:
            taken.popleft()
        if concurrency is not None and len(self.running) >= concurrency:
            self.refused += 1
            return "concurrency"
        if per_minute is not None and len(taken) >= per_minute:
            self.refused += 1
            return "rate"
        taken.append(now_ms)
        self.running.add(prediction_id)
        self.most_running = max(self.most_running, len(self.running))
        return "taken"

    def _limits(self, now_ms: int) -> tuple[int | None, int | None]:
        """Tasks at once, and submissions a minute, that it takes beyond what the account says."""
        minute = (now_ms - self.begun_ms) / 60_000
        for first, last, concurrency, per_minute in self.day.rough:
            if first <= minute < last:
                return concurrency, per_minute
        return None, None
