"""The drawn runs of the detection benchmark: looked at as the profile says, and not otherwise."""

import statistics

import pytest

from benchmarks.detection import LONGEST_S, MEDIAN_S, SHORTEST_S, Detected, durations, every, polled
from service.domain.polling import PollProfile

PROFILE = PollProfile(usual_s=45.0, step_s=5.0, max_step_s=30.0, deadline_s=1800.0)


def steady() -> float:
    """No jitter."""
    return 0.0


def test_a_run_is_seen_by_the_first_look_after_its_end() -> None:
    """Looks at 45, 51.75, 59.5125 s: a run of 52 s is seen by the third, 7.5 s late."""
    seen = polled(PROFILE, 52.0, steady)
    assert seen.reads == 3
    assert seen.late_s == pytest.approx(7.5125)


def test_a_short_run_waits_for_the_first_look() -> None:
    """One look, at the usual time."""
    assert polled(PROFILE, 10.0, steady) == Detected(35.0, 1)


def test_a_callback_saves_the_look_that_would_have_seen_the_end() -> None:
    """The looks before it were made all the same."""
    assert polled(PROFILE, 52.0, steady, told_at_s=52.5) == Detected(0.5, 2)


def test_a_callback_that_comes_after_the_look_tells_nothing_new() -> None:
    """The look was first."""
    assert polled(PROFILE, 44.0, steady, told_at_s=60.0) == Detected(1.0, 1)


def test_a_fixed_step_looks_on_and_on() -> None:
    """At 2.5, 7.5 and 12.5 s for a run of 11."""
    assert every(5.0, 11.0, 0.5) == Detected(1.5, 3)


def test_durations_are_the_stated_distribution_each_time() -> None:
    """The same seed draws the same runs; half are under the median, and none outside the bounds."""
    drawn = durations(5_000)
    assert drawn == durations(5_000)
    assert statistics.median(drawn) == pytest.approx(MEDIAN_S, rel=0.05)
    assert SHORTEST_S <= min(drawn) <= max(drawn) <= LONGEST_S
