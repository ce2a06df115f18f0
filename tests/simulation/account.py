"""The account as plain arithmetic: what may be sent now, by rules written down once more in Python."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor
from typing import Final

from service.domain.capacity import CLASSES, Capacity, ModelClass

MINUTE_MS: Final = 60_100
"""How long a start counts after its answer: the upstream's minute, and a little."""

BACK_OFF_MS: Final = (5_000, 60_000)


@dataclass
class Limit:
    """A limit: as configured, or as lowered and then raised by one each minute."""

    configured: int | None
    lowered: int | None = None
    since_ms: int = 0

    def at(self, now_ms: int) -> float:
        """How much is allowed."""
        configured = float("inf") if self.configured is None else self.configured
        if self.lowered is None:
            return configured
        return min(configured, self.lowered + (now_ms - self.since_ms) // 60_000)

    def lower(self, now_ms: int) -> None:
        """The upstream says that it is too much."""
        allowed = self.at(now_ms)
        if allowed != float("inf"):
            self.lowered, self.since_ms = max(1, floor(allowed * 0.7)), now_ms

    def raised_at_ms(self, now_ms: int) -> float:
        """When there is one more."""
        if self.lowered is None or self.at(now_ms) == self.configured:
            return float("inf")
        return self.since_ms + ((now_ms - self.since_ms) // 60_000 + 1) * 60_000


@dataclass
class AccountModel:
    """What the gateway may do, and the most it ever did."""

    capacity: Capacity
    slots: set[str] = field(default_factory=set)
    under_way: dict[ModelClass, set[str]] = field(default_factory=lambda: {one: set() for one in CLASSES})
    answered: dict[ModelClass, deque[int]] = field(default_factory=lambda: {one: deque() for one in CLASSES})
    failures: int = 0
    blocked_until_ms: int = 0
    most_slots: int = 0

    def __post_init__(self) -> None:
        self.concurrency = Limit(self.capacity.concurrency)
        self.starts = {one: Limit(self.capacity.per_minute.get(one)) for one in CLASSES}

    def free_slots(self, now_ms: int) -> float:
        """How many more tasks there may be."""
        return self.concurrency.at(now_ms) - len(self.slots)

    def used_starts(self, model_class: ModelClass, now_ms: int) -> int:
        """How many count as sent in the last minute."""
        answered = self.answered[model_class]
        while answered and answered[0] <= now_ms - MINUTE_MS:
            answered.popleft()
        return len(answered) + len(self.under_way[model_class])

    def free_starts(self, model_class: ModelClass, now_ms: int) -> float:
        """How many more may be sent."""
        return self.starts[model_class].at(now_ms) - self.used_starts(model_class, now_ms)

    def room(self, model_class: ModelClass, now_ms: int) -> bool:
        """Whether one more may be sent."""
        return self.free_slots(now_ms) >= 1 and self.free_starts(model_class, now_ms) >= 1

    def take(self, prediction_id: str, model_class: ModelClass, now_ms: int) -> None:
        """One is being sent. There must be room for it."""
        assert now_ms >= self.blocked_until_ms, "nothing is sent during a back-off"
        assert self.room(model_class, now_ms), (
            f"{len(self.slots)} slots and {self.used_starts(model_class, now_ms)} used"
        )
        self.slots.add(prediction_id)
        self.under_way[model_class].add(prediction_id)
        self.most_slots = max(self.most_slots, len(self.slots))

    def answer(self, prediction_id: str, model_class: ModelClass, now_ms: int) -> None:
        """It has been answered."""
        self.under_way[model_class].remove(prediction_id)
        self.answered[model_class].append(now_ms)

    def end(self, prediction_id: str) -> None:
        """It has ended, or was not started."""
        self.slots.remove(prediction_id)

    def refuse(self, verdict: str, model_class: ModelClass, now_ms: int) -> None:
        """The upstream says 429, or cannot be reached. Those of one back-off are one failure."""
        if now_ms < self.blocked_until_ms:
            self._block(now_ms)
            return
        self.failures += 1
        self._block(now_ms)
        if verdict != "unreachable":
            (self.concurrency if verdict == "concurrency" else self.starts[model_class]).lower(now_ms)

    def _block(self, now_ms: int) -> None:
        shortest, longest = BACK_OFF_MS
        back_off = min(longest, shortest * 2 ** (self.failures - 1))
        self.blocked_until_ms = max(self.blocked_until_ms, now_ms + back_off)

    def well(self, now_ms: int) -> None:
        """One was taken. During a back-off that says nothing: it was sent before."""
        if now_ms >= self.blocked_until_ms:
            self.failures = self.blocked_until_ms = 0

    def require_no_idle_place(self, waiting: Iterable[ModelClass], now_ms: int, wake_at_ms: float) -> None:
        """Nobody who waits could be sent, and when somebody can, the queue is looked at."""
        if now_ms < self.blocked_until_ms:
            assert wake_at_ms <= self.blocked_until_ms
            return
        if self.failures and any(self.under_way.values()):  # one has gone ahead
            return
        for one in waiting:
            assert not self.room(one, now_ms), f"a {one} waits, and there is room"
            limit = self.starts[one]
            if self.free_slots(now_ms) < 1:
                assert wake_at_ms <= self.concurrency.raised_at_ms(now_ms)
                continue
            assert wake_at_ms <= limit.raised_at_ms(now_ms)
            free_at = self._forgotten_at_ms(one, now_ms)
            assert wake_at_ms <= free_at, f"there is room for a {one} at {free_at}, not only at {wake_at_ms}"

    def _forgotten_at_ms(self, model_class: ModelClass, now_ms: int) -> float:
        """When so many starts are forgotten that one more may be sent, if none under way is answered."""
        too_many = self.used_starts(model_class, now_ms) - int(self.starts[model_class].at(now_ms)) + 1
        answered = self.answered[model_class]
        return answered[too_many - 1] + MINUTE_MS if too_many <= len(answered) else float("inf")


def most_in_a_minute(arrivals_ms: list[int]) -> int:
    """The most that came within any 60 s."""
    arrivals_ms.sort()
    most = first = 0
    for last, at in enumerate(arrivals_ms):
        while at - arrivals_ms[first] >= 60_000:
            first += 1
        most = max(most, last - first + 1)
    return most
