"""When a prediction is looked at again: neither a flood upstream nor a caller kept waiting."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.polling import (
    MAX_BACKOFF_STEPS,
    MAX_RETRY_AFTER_S,
    Patience,
    PollProfile,
    after_failure_s,
    first_look_s,
    next_look_s,
    next_rare_look_s,
)

VIDEO = PollProfile(usual_s=45, step_s=5, max_step_s=30, deadline_s=1800)
PLAIN = 0.0
"""The roll that leaves a delay as it is."""

rolls = st.floats(min_value=0, max_value=1, exclude_max=True)
ages_s = st.floats(min_value=0, max_value=10_000)
failures = st.integers(min_value=1, max_value=5_000)


@st.composite
def profiles(draw: st.DrawFn) -> PollProfile:
    """Any way a model may be polled."""
    step_s = draw(st.floats(min_value=0.01, max_value=60))
    return PollProfile(
        usual_s=draw(st.floats(min_value=0.01, max_value=600)),
        step_s=step_s,
        max_step_s=step_s * draw(st.floats(min_value=1, max_value=20)),
        deadline_s=draw(st.floats(min_value=1, max_value=7200)),
    )


@settings(max_examples=60, deadline=None)
@given(profiles(), rolls)
def test_first_look_is_made_when_a_run_is_usually_done(profile: PollProfile, roll: float) -> None:
    """The first look comes after the usual time, or up to a fifth later."""
    assert profile.usual_s <= first_look_s(profile, roll) <= profile.usual_s * 1.2


@settings(max_examples=60, deadline=None)
@given(profiles(), ages_s, rolls)
def test_steps_stay_within_their_bounds(profile: PollProfile, age_s: float, roll: float) -> None:
    """No look comes earlier than the shortest step, or later than the longest one and a fifth."""
    delay_s = next_look_s(profile, age_s, roll)
    assert profile.step_s <= delay_s <= profile.max_step_s * 1.2


@settings(max_examples=60, deadline=None)
@given(profiles(), ages_s, ages_s, rolls)
def test_steps_only_grow_with_age(profile: PollProfile, one_s: float, other_s: float, roll: float) -> None:
    """The older a run, the longer the wait for the next look at it."""
    younger_s, older_s = sorted((one_s, other_s))
    assert next_look_s(profile, younger_s, roll) <= next_look_s(profile, older_s, roll)


def test_a_video_run_is_looked_at_as_the_catalogue_says() -> None:
    """A young run is looked at every 5 s, one of 100 s every 15 s, and from 200 s on every 30 s."""
    steps = [next_look_s(VIDEO, age_s, PLAIN) for age_s in (0, 33, 100, 200, 1_700)]
    assert steps == pytest.approx([5, 5, 15, 30, 30])


def test_a_whole_run_costs_a_bounded_number_of_looks() -> None:
    """A run that never ends is looked at fewer than 80 times before its deadline."""
    age_s, looks = first_look_s(VIDEO, 0.0), 1
    while age_s < VIDEO.deadline_s:
        age_s, looks = age_s + next_look_s(VIDEO, age_s, 0.0), looks + 1
    assert 50 < looks < 80


def test_runs_started_together_are_not_looked_at_together() -> None:
    """The jitter spreads every delay over a fifth more than its length."""

    def delays_s(roll: float) -> list[float]:
        return [first_look_s(VIDEO, roll), next_look_s(VIDEO, 100, roll), after_failure_s(VIDEO, 3, None, roll)]

    assert delays_s(0.5) == pytest.approx([delay_s * 1.1 for delay_s in delays_s(PLAIN)])
    assert delays_s(0.999_999) == pytest.approx([delay_s * 1.2 for delay_s in delays_s(PLAIN)], rel=1e-5)


def test_failed_looks_are_repeated_ever_more_slowly() -> None:
    """Every failure doubles the wait, up to a minute."""
    waits = [after_failure_s(VIDEO, count, None, PLAIN) for count in range(1, 8)]
    assert waits == pytest.approx([5, 10, 20, 40, 60, 60, 60])
    assert after_failure_s(VIDEO, 10**9, None, PLAIN) == pytest.approx(MAX_BACKOFF_STEPS * VIDEO.step_s)


@settings(max_examples=60, deadline=None)
@given(profiles(), failures, rolls)
def test_back_off_is_bounded_and_never_shrinks(profile: PollProfile, count: int, roll: float) -> None:
    """However often looks fail, the next is made within a bound, and no sooner than after fewer failures."""
    delay_s = after_failure_s(profile, count, None, roll)
    assert profile.step_s <= delay_s <= profile.step_s * MAX_BACKOFF_STEPS * 1.2 * 1.001
    assert delay_s <= after_failure_s(profile, count + 1, None, roll)


@settings(max_examples=60, deadline=None)
@given(failures, st.floats(min_value=0, max_value=MAX_RETRY_AFTER_S), rolls)
def test_retry_after_is_honoured(count: int, wished_s: float, roll: float) -> None:
    """An upstream that asks for time gets at least that much, and never shortens our own wait."""
    delay_s = after_failure_s(VIDEO, count, wished_s, roll)
    assert delay_s >= wished_s
    assert delay_s >= after_failure_s(VIDEO, count, None, roll)


@pytest.mark.parametrize("wished_s", [301, 86_400, 1e18, float("inf")])
def test_retry_after_has_a_cap(wished_s: float) -> None:
    """No upstream can put a prediction off for longer than five minutes."""
    assert after_failure_s(VIDEO, 1, wished_s, PLAIN) == MAX_RETRY_AFTER_S == 300


@pytest.mark.parametrize("wished_s", [None, 0.0, -5.0])
def test_no_wish_changes_nothing(wished_s: float | None) -> None:
    """Without a Retry-After, or with one already past, the back-off alone decides."""
    assert after_failure_s(VIDEO, 2, wished_s, PLAIN) == pytest.approx(10)


@settings(max_examples=60, deadline=None)
@given(profiles(), st.floats(min_value=0.01, max_value=100), ages_s, failures, rolls)
def test_a_scaled_profile_is_the_same_story_at_another_speed(
    profile: PollProfile, factor: float, age_s: float, count: int, roll: float
) -> None:
    """Every time of a scaled profile is multiplied by the factor: first look, steps, back-off and deadline."""
    scaled = profile.scaled(factor)
    assert scaled.deadline_s == profile.deadline_s * factor
    assert first_look_s(scaled, roll) == pytest.approx(first_look_s(profile, roll) * factor)
    assert next_look_s(scaled, age_s * factor, roll) == pytest.approx(next_look_s(profile, age_s, roll) * factor)
    slow_s = after_failure_s(profile, count, None, roll)
    assert after_failure_s(scaled, count, None, roll) == pytest.approx(slow_s * factor)


@settings(max_examples=60, deadline=None)
@given(profiles(), rolls)
def test_a_safety_net_is_sparser_and_keeps_the_deadline(profile: PollProfile, roll: float) -> None:
    """Where the upstream calls back, looks come later and rarer, and none is put off beyond the deadline."""
    net = profile.as_safety_net()
    assert net.deadline_s == profile.deadline_s
    assert net.usual_s <= max(profile.usual_s, profile.deadline_s)
    for age_s in (0.0, 100.0, 5_000.0):
        assert next_look_s(net, age_s, roll) >= next_look_s(profile, age_s, roll)


@settings(max_examples=60, deadline=None)
@given(profiles(), ages_s, rolls)
def test_what_is_in_no_hurry_is_looked_at_rarely(profile: PollProfile, since_s: float, roll: float) -> None:
    """From the model's longest step up to an hour, growing with the time that has passed."""
    delay_s = next_rare_look_s(profile, Patience(), since_s, roll)
    assert min(profile.max_step_s, 3_600.0) <= delay_s <= 3_600.0 * 1.2


@pytest.mark.parametrize("factor", [0.0001, 0.01, 1.0, 10.0])
def test_patience_is_scaled_but_never_runs_out_while_a_submission_may_be_under_way(factor: float) -> None:
    """Drills make everything faster, except what would make a submission be given up before it was looked for."""
    scaled = Patience().scaled(factor, 110.0)
    assert scaled.give_up_s == max(110.0, 1_800.0 * factor)
    assert (scaled.close_s, scaled.unseen_s) == (86_400.0 * factor, 86_400.0 * factor)
    assert (scaled.close_step_s, scaled.overdue_s) == (3_600.0 * factor, 300.0 * factor)
