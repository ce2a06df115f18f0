"""The breaker: a dead upstream is asked once in a while, a living one always."""

from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.circuit_breaker import CircuitBreaker


def opened(at_s: float = 0.0) -> CircuitBreaker:
    """A breaker that five failures have opened."""
    breaker = CircuitBreaker()
    for _ in range(5):
        assert breaker.wait_s(at_s) == 0.0
        breaker.failed(at_s)
    return breaker


def test_opens_after_five_failures_within_thirty_seconds() -> None:
    """Four are not enough; the fifth stops calls for thirty seconds."""
    breaker = CircuitBreaker()
    for second in range(4):
        breaker.failed(second)
        assert breaker.wait_s(second) == 0.0
    breaker.failed(20)
    assert (breaker.state(20), breaker.wait_s(20), breaker.wait_s(35)) == ("open", 30.0, 15.0)


def test_failures_far_apart_do_not_open_it() -> None:
    """Now and then a failure is life."""
    breaker = CircuitBreaker()
    for second in range(0, 200, 8):
        breaker.failed(second)
        assert breaker.state(second) == "closed"


def test_a_success_in_between_starts_the_count_again() -> None:
    """An upstream that answers is not dead."""
    breaker = CircuitBreaker()
    for second in range(20):
        breaker.failed(second)
        if second % 4 == 3:
            breaker.succeeded()
        assert breaker.state(second) == "closed"


def test_half_open_lets_one_call_through() -> None:
    """After thirty seconds one call tries; the others wait for what comes of it."""
    breaker = opened()
    assert breaker.state(30) == "half_open"
    assert breaker.wait_s(30) == 0.0
    assert breaker.wait_s(30) > 0
    breaker.succeeded()
    assert (breaker.state(30), breaker.wait_s(30)) == ("closed", 0.0)


def test_a_failed_try_waits_again() -> None:
    """One failure is enough while half open."""
    breaker = opened()
    assert breaker.wait_s(31) == 0.0
    breaker.failed(32)
    assert (breaker.state(33), breaker.wait_s(33)) == ("open", 29.0)


def test_a_try_nobody_tells_of_does_not_block_for_ever() -> None:
    """A call that was canceled says nothing; after another thirty seconds the next one tries."""
    breaker = opened()
    assert breaker.wait_s(30) == 0.0
    assert breaker.wait_s(59) > 0
    assert breaker.wait_s(60) == 0.0


def test_calls_from_before_it_opened_change_nothing() -> None:
    """Late failures of calls that were under way do not put the next try off."""
    breaker = opened()
    for second in range(1, 29):
        breaker.failed(second)
    assert breaker.wait_s(30) == 0.0


@settings(max_examples=200)
@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200))
def test_a_dead_upstream_is_cheap_however_often_it_is_asked_for(steps: list[float]) -> None:
    """Whenever calls are wanted, at most five get through at first, and then one in thirty seconds."""
    breaker, now_s, calls = CircuitBreaker(), 0.0, []
    for step_s in steps:
        now_s += step_s
        if breaker.wait_s(now_s) == 0.0:
            calls.append(now_s)
            breaker.failed(now_s)
    for first, sixth in zip(calls, calls[5:], strict=False):
        assert sixth - first >= 20.0
