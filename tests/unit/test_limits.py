"""Limits: what a refusal says, and which windows a moment belongs to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.limits import Ledger, Limits, LimitState, QuotaExceeded, window_of

MOMENTS = st.integers(1_704_067_200, 4_102_444_800).map(lambda at: datetime.fromtimestamp(at, UTC))


def refused(*states: LimitState) -> QuotaExceeded:
    """What refuses with these states."""
    return QuotaExceeded(states)


def test_a_refusal_names_limit_what_is_left_and_when_to_come_back() -> None:
    """Each kind in its own words, and only the limits that refuse."""
    error = refused(
        LimitState("rate", 60, 0, 1_400, 60, "refused"),
        LimitState("concurrency", 4, 0, 5_000, 0, "refused"),
        LimitState("daily", 500, 499, 3_600_000, 86_400, "ok"),
        LimitState("budget", 250_000_000, 100_000, 86_400_000, 2_592_000, "refused"),
    )
    assert str(error) == (
        "rate limit of 60 submissions in 60 s: 0 left; try again in 2 s; "
        "concurrency limit of 4 predictions at once: 0 left; try again in 5 s; "
        "monthly budget of $250.00: $0.10 left, too little; try again in 86400 s"
    )
    assert [state.name for state in error.refusing] == ["rate", "concurrency", "budget"]


@pytest.mark.parametrize(("resets_in_ms", "seconds"), [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)])
def test_whole_seconds_are_enough(resets_in_ms: int, seconds: int) -> None:
    """Who waits as long as is said does not come too early, and nobody is told to wait for nothing."""
    assert refused(LimitState("rate", 1, 0, resets_in_ms, 60, "refused")).retry_after_s == seconds


def test_the_longest_wait_counts() -> None:
    """With several limits in the way, all of them have to give."""
    error = refused(LimitState("rate", 1, 0, 900, 60, "refused"), LimitState("daily", 1, 0, 7_000, 86_400, "refused"))
    assert error.retry_after_s == 7


@pytest.mark.parametrize(("name", "money"), [("budget", True), ("rate", False), ("daily", False)])
def test_only_the_budget_is_about_money(name: str, money: bool) -> None:
    """A shadowed budget beside it makes no refusal one of money."""
    states = [LimitState(name, 1, 0, 1, 1, "refused"), LimitState("budget", 1, -1, 1, 1, "shadow")]  # type: ignore[arg-type]
    assert refused(*states).over_budget is money


@given(MOMENTS)
def test_windows_are_the_calendar_s(moment: datetime) -> None:
    """A moment lies in its day and month, both of which end at a midnight, and not a moment later."""
    now_ms = int(moment.timestamp() * 1000)
    window = window_of(now_ms)
    assert (window.day, window.month) == (moment.strftime("%Y-%m-%d"), moment.strftime("%Y-%m"))
    day_end = datetime.fromtimestamp(window.day_ends_ms / 1000, UTC)
    assert now_ms < window.day_ends_ms <= now_ms + 86_400_000
    assert (day_end - timedelta(milliseconds=1)).strftime("%Y-%m-%d") == window.day
    month_end = datetime.fromtimestamp(window.month_ends_ms / 1000, UTC)
    assert (month_end.day, month_end.hour, month_end.minute, month_end.second) == (1, 0, 0, 0)
    assert (month_end - timedelta(milliseconds=1)).strftime("%Y-%m") == window.month
    assert datetime.fromtimestamp(window.month_ends_ms / 1000 - window.month_s, UTC).day == 1
    assert window_of(window.day_ends_ms).day > window.day
    assert window_of(window.month_ends_ms).month > window.month


def test_only_what_is_set_is_a_limit() -> None:
    """Zero is a limit, none is not; the shadow is no number."""
    limits = Limits(daily=0, budget_micros=5, shadow=frozenset({"daily"}))
    assert limits.numbers == {"daily": 0, "budget_micros": 5}
    assert Limits().numbers == {}


@pytest.mark.parametrize(
    ("ledger", "sound"),
    [
        (Ledger("2026-11"), True),
        (Ledger("2026-11", held=1, settled=2, released=3, ever_held=6), True),
        (Ledger("2026-11", held=1, settled=2, released=3, ever_held=7), False),
        (Ledger("2026-11", held=-1, settled=2, released=3, ever_held=4), False),
    ],
)
def test_money_is_conserved_or_it_is_not(ledger: Ledger, sound: bool) -> None:
    """Everything ever held is held, settled or released, and nothing is negative."""
    assert ledger.conserved is sound


def test_a_budget_is_spent_by_what_is_held_and_settled() -> None:
    """Released money can be spent again."""
    assert Ledger("2026-11", held=3, settled=4, released=5, ever_held=12).spent == 7
