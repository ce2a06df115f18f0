"""What a tenant may spend: six limits, each optional, and what a decision about them looks like. Pure.

The arithmetic itself runs inside the admission script, where it is atomic; `GCRA` is described there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple, get_args

from service.domain.errors import BreakwaterError
from service.domain.money import dollars

LimitName = Literal["rate", "concurrency", "daily", "monthly", "budget", "queued"]
LIMITS: Final[tuple[LimitName, ...]] = get_args(LimitName)
"""Every limit, in the order answers name them."""

MAX_RATE: Final = 1_000_000
MAX_COUNT: Final = 1_000_000_000
MAX_BUDGET_MICROS: Final = 10**15
"""Bounds of what an operator may set: far above use, far below where integers in the store lose exactness."""

NEAR: Final = 0.8
"""Share of a limit from which on its use counts as near."""

CONCURRENCY_RETRY_S: Final = 5
"""When to come back while every slot is taken: nobody knows when a video will be done, so this is a poll's time."""

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """A tenant's limits; None means none. `burst` is how many may come at once (None: a minute's worth).

    `budget_micros` is for one calendar month (UTC); `max_queued` is how many may wait for the account. Limits in
    `shadow` are counted and never refuse.
    """

    rate_per_minute: int | None = None
    burst: int | None = None
    concurrency: int | None = None
    daily: int | None = None
    monthly: int | None = None
    budget_micros: int | None = None
    max_queued: int | None = None
    shadow: frozenset[LimitName] = frozenset()

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers that are set, by field name: what the store keeps."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "shadow"}
        return {name: value for name, value in values.items() if value is not None}


NUMBERS: Final = tuple(f.name for f in fields(Limits) if f.name != "shadow")
"""The field names of the numbers in `Limits`."""


class LimitState(NamedTuple):
    """Where one limit stands: how much is allowed and left in its window (budget: micro-dollars), and when that resets.

    `rate` is a bucket: `limit` is its size, `window_s` the time it takes to fill, and `resets_in_ms` the time until it
    is full, or when it refuses, until one more fits. `concurrency` has no window. `verdict` says what the limit meant
    for one submission; `left` is below zero where a shadowed or lowered limit is overdrawn.
    """

    name: LimitName
    limit: int
    left: int
    resets_in_ms: int
    window_s: int = 0
    verdict: Literal["ok", "near", "refused", "shadow"] = "ok"

    @property
    def used(self) -> int:
        """How much is used up."""
        return self.limit - self.left


class QuotaExceeded(BreakwaterError):
    """A tenant's limits refuse a submission; nothing was written. `states` holds every limit, those refusing marked."""

    def __init__(self, states: tuple[LimitState, ...]) -> None:
        self.states = states
        super().__init__("; ".join(_told(state) for state in self.refusing))

    @property
    def refusing(self) -> tuple[LimitState, ...]:
        """The limits that refuse."""
        return tuple(state for state in self.states if state.verdict == "refused")

    @property
    def over_budget(self) -> bool:
        """Whether money is what is missing."""
        return any(state.name == "budget" for state in self.refusing)

    @property
    def retry_after_s(self) -> int:
        """When all of the refusing limits may allow a submission again, in whole seconds, at least 1."""
        return max(1, *(-(-state.resets_in_ms // 1000) for state in self.refusing))


def _told(state: LimitState) -> str:
    """One refusing limit in a sentence: which, how much is left, when to come back."""
    wait = f"try again in {max(1, -(-state.resets_in_ms // 1000))} s"
    left = max(0, state.left)
    match state.name:
        case "budget":
            return f"monthly budget of ${dollars(state.limit)}: ${dollars(left)} left, too little; {wait}"
        case "rate":
            return f"rate limit of {state.limit} submissions in {state.window_s} s: {left} left; {wait}"
        case "queued":
            return f"queue limit of {state.limit} submissions that wait for the account: {left} left; {wait}"
        case "concurrency":
            return f"concurrency limit of {state.limit} predictions at once: {left} left; {wait}"
        case _:
            return f"{state.name} limit of {state.limit} predictions: {left} left; {wait}"


@dataclass(frozen=True, slots=True)
class Window:
    """The UTC day and month a moment belongs to, as key parts (`2026-11-23`, `2026-11`), and their ends."""

    day: str
    month: str
    day_ends_ms: int
    month_ends_ms: int
    month_s: int


def window_of(now_ms: int) -> Window:
    """The windows of a time in unix milliseconds."""
    return _window_of_day(now_ms // (DAY_S * 1000))


@lru_cache(maxsize=64)
def _window_of_day(days: int) -> Window:
    """The windows of a day, in days since 1970; every submission asks for today's."""
    midnight = datetime.fromtimestamp(days * DAY_S, UTC)
    next_month = (midnight.replace(day=28) + timedelta(days=4)).replace(day=1)
    return Window(
        day=f"{midnight:%Y-%m-%d}",
        month=f"{midnight:%Y-%m}",
        day_ends_ms=int((midnight + timedelta(days=1)).timestamp() * 1000),
        month_ends_ms=int(next_month.timestamp() * 1000),
        month_s=int((next_month - midnight.replace(day=1)).total_seconds()),
    )


@dataclass(frozen=True, slots=True)
class Ledger:
    """One tenant's money and counts of one month, in micro-dollars and predictions.

    At every moment held + settled + released = `ever_held`, and none of them is negative.
    """

    month: str
    held: int = 0
    settled: int = 0
    released: int = 0
    ever_held: int = 0
    admitted: int = 0
    admitted_by_day: Mapping[str, int] = field(default_factory=dict)

    @property
    def conserved(self) -> bool:
        """Whether nothing appeared or vanished."""
        return min(self.held, self.settled, self.released) >= 0 and (
            self.held + self.settled + self.released == self.ever_held
        )

    @property
    def spent(self) -> int:
        """What counts against the budget."""
        return self.held + self.settled
