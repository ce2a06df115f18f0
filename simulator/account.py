"""The account: its keys, balance and tier, and what was paid."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Tier:
    """How many submissions a minute and runs at once an account may have."""

    per_minute: int
    concurrent: int


TIERS: Final = {
    "bronze": Tier(2, 2),
    "silver": Tier(500, 300),
    "gold": Tier(3000, 3000),
    "ultra": Tier(5000, 10_000),
}
"""Every tier, by name."""


class Account:
    """One account. `clock` gives unix seconds; `per_minute` and `concurrent` hold in place of its tier's limits."""

    def __init__(
        self,
        keys: Iterable[str],
        tier: str,
        balance: float,
        clock: Callable[[], float],
        per_minute: int | None = None,
        concurrent: int | None = None,
    ) -> None:
        self.keys = frozenset(keys)
        self.tier = tier
        self.balance = balance
        self.paid_submissions = 0
        self.spent = 0.0
        self.requests: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._clock = clock
        self._own = per_minute, concurrent
        self._minute: deque[float] = deque()

    def knows(self, authorization: str) -> bool:
        """Whether an Authorization header carries one of the keys."""
        scheme, _, key = authorization.partition(" ")
        return scheme == "Bearer" and key in self.keys

    def over_capacity(self, running: int) -> bool:
        """Whether another submission now would be one too many."""
        now_s = self._clock()
        while self._minute and self._minute[0] <= now_s - 60:
            self._minute.popleft()
        tier, (per_minute, concurrent) = TIERS[self.tier], self._own
        return len(self._minute) >= (per_minute or tier.per_minute) or running >= (concurrent or tier.concurrent)

    def pay(self, price: float) -> None:
        """Charge one submission."""
        self._minute.append(self._clock())
        self.paid_submissions += 1
        self.spent = round(self.spent + price, 6)
        self.balance = round(self.balance - price, 6)
