"""When a callback is tried again: patient with a receiver in trouble, and never for ever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.webhook_retries import (
    JITTER,
    MAX_RETRY_AFTER_S,
    MIN_AFTER_OVERLOAD_S,
    SCHEDULE_S,
    Outcome,
    next_attempt_s,
)

MIDDLE = 0.5
"""The roll that leaves a delay as it is."""

RETRIED: list[Outcome] = [
    "rejected",
    "redirected",
    "rate_limited",
    "timeout",
    "connect_failed",
    "tls_failed",
    "broken",
]
FINAL: list[Outcome] = ["delivered", "gone", "denied"]
OVERLOAD: list[Outcome] = ["timeout", "rate_limited"]

attempts = st.integers(min_value=1, max_value=len(SCHEDULE_S) - 1)
outcomes = st.sampled_from(RETRIED)
rolls = st.floats(min_value=0, max_value=1, exclude_max=True)
scales = st.floats(min_value=0.001, max_value=10)
wishes = st.one_of(st.none(), st.floats(min_value=0, max_value=1e9), st.just(float("inf")), st.just(float("nan")))


def test_schedule() -> None:
    """A receiver that keeps failing is tried 8 times: at once, then after 5 s, 5 and 30 min, 2, 5, 10 and 10 h."""
    delays_s = [next_attempt_s(attempt, "rejected", None, MIDDLE, 1.0) for attempt in range(1, 9)]
    assert delays_s == [5, 300, 1800, 7200, 18000, 36000, 36000, None]


@settings(deadline=None)
@given(attempts, outcomes, rolls, scales)
def test_jitter(attempt: int, outcome: Outcome, roll: float, scale: float) -> None:
    """A delay is the schedule's, 20 % more or less, and a minute or a little more after a timeout or 429; scaled."""
    delay_s = next_attempt_s(attempt, outcome, None, roll, scale)
    floor_s = MIN_AFTER_OVERLOAD_S if outcome in OVERLOAD else 0
    assert delay_s is not None
    assert delay_s >= max(SCHEDULE_S[attempt] * (1 - JITTER), floor_s) * scale * 0.999999
    assert delay_s <= max(SCHEDULE_S[attempt], floor_s) * (1 + JITTER) * scale * 1.000001


def test_jitter_spans_its_range() -> None:
    """The lowest roll is a fifth early, the highest a fifth late."""
    assert next_attempt_s(2, "broken", None, 0.0, 1.0) == pytest.approx(240)
    assert next_attempt_s(2, "broken", None, 0.999999, 1.0) == pytest.approx(360, rel=1e-5)


@settings(deadline=None)
@given(attempts, outcomes, wishes, rolls, scales)
def test_retry_after(attempt: int, outcome: Outcome, wish_s: float | None, roll: float, scale: float) -> None:
    """A wish only ever makes a delay longer, up to the wish and up to the longest that is granted."""
    without_s = next_attempt_s(attempt, outcome, None, roll, scale)
    delay_s = next_attempt_s(attempt, outcome, wish_s, roll, scale)
    assert without_s is not None
    assert delay_s is not None
    granted_s = 0.0 if wish_s is None or wish_s != wish_s else min(wish_s, MAX_RETRY_AFTER_S * scale)
    assert delay_s == max(without_s, granted_s)


def test_a_wish_is_not_scaled() -> None:
    """A receiver that asks for a minute gets a minute, however short our own delays are made."""
    assert next_attempt_s(1, "rate_limited", 60, MIDDLE, 0.01) == 60
    assert next_attempt_s(1, "rate_limited", 10 * MAX_RETRY_AFTER_S, MIDDLE, 1.0) == MAX_RETRY_AFTER_S
    assert next_attempt_s(1, "rejected", 3, MIDDLE, 1.0) == 5


@pytest.mark.parametrize("outcome", FINAL)
@pytest.mark.parametrize("attempt", [1, 4, 8])
def test_final_outcomes(outcome: Outcome, attempt: int) -> None:
    """What another try would not change is not tried again, whatever the receiver wished."""
    assert next_attempt_s(attempt, outcome, 5, MIDDLE, 1.0) is None


@given(st.integers(min_value=len(SCHEDULE_S), max_value=10_000), outcomes, wishes, rolls)
def test_the_schedule_ends(attempt: int, outcome: Outcome, wish_s: float | None, roll: float) -> None:
    """After the last attempt there is none, and no wish prolongs it."""
    assert next_attempt_s(attempt, outcome, wish_s, roll, 1.0) is None


@pytest.mark.parametrize("outcome", RETRIED)
def test_no_scale_is_no_delay(outcome: Outcome) -> None:
    """With scale 0, for tests, every delay of ours is none."""
    assert next_attempt_s(1, outcome, None, MIDDLE, 0.0) == 0
