"""Which task an unconfirmed submission may claim: only one that can be nobody else's."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.claims import SKEW_MS, Task, claim, rivals_within_s, span_ms
from service.domain.predictions import Prediction, State

OVER_S = 70.0
T0 = 1_800_000_000_000
LATER = T0 + 600_000


def submission(name: str = "a", tenant: str = "acme", at_ms: int = T0) -> Prediction:
    """An unconfirmed submission."""
    return Prediction(name, tenant, "openai/sora-2", State.UNCONFIRMED, at_ms)


def task(name: str = "t", at_ms: int = T0 + 100) -> Task:
    """A task nobody has."""
    return Task(name, at_ms)


def test_the_only_task_is_the_only_claimant_s() -> None:
    """One and one: certain."""
    assert claim(submission(), [submission()], [task()], OVER_S, LATER) == task()


@pytest.mark.parametrize("at_ms", [T0 - SKEW_MS - 1, T0 + 70_000 + SKEW_MS + 1])
def test_a_task_of_another_time_is_none(at_ms: int) -> None:
    """A task made before the submission, or after it was over, cannot be its own."""
    assert claim(submission(), [submission()], [task(at_ms=at_ms)], OVER_S, LATER) == "none"


def test_a_task_counts_once_its_submission_is_over() -> None:
    """Until the longest time a POST can take has passed, somebody may still be about to confirm it."""
    mine, one = submission(), task()
    assert claim(mine, [mine], [one], OVER_S, one.created_at_ms + 69_999) == "none"
    assert claim(mine, [mine], [one], OVER_S, one.created_at_ms + 70_000) == one


def test_two_teams_with_one_task_is_ambiguous_for_both() -> None:
    """Whichever was right, the other would see its video."""
    twins = [submission("a", "acme"), submission("b", "beta")]
    for mine in twins:
        assert claim(mine, twins, [task()], OVER_S, LATER) == "ambiguous"


def test_two_teams_with_two_tasks_is_ambiguous_too() -> None:
    """As many tasks as claimants is not enough across teams."""
    twins = [submission("a", "acme"), submission("b", "beta")]
    for mine in twins:
        assert claim(mine, twins, [task("t"), task("u")], OVER_S, LATER) == "ambiguous"


def test_one_team_gets_them_oldest_first() -> None:
    """Equal videos are worth the same to one team; the order is the same whoever computes it."""
    twins = [submission("b", at_ms=T0 + 50), submission("a", at_ms=T0)]
    tasks = [task("u", T0 + 900), task("t", T0 + 300)]
    assert [claim(mine, twins, tasks, OVER_S, LATER) for mine in twins] == [tasks[0], tasks[1]]


@pytest.mark.parametrize(("claimants", "tasks"), [(1, 2), (2, 1), (3, 2)])
def test_one_team_with_more_or_fewer_tasks_gets_none(claimants: int, tasks: int) -> None:
    """A task too many is a foreign one, one too few leaves it open whose it is."""
    twins = [submission(str(number)) for number in range(claimants)]
    found = [task(str(number)) for number in range(tasks)]
    for mine in twins:
        assert claim(mine, twins, found, OVER_S, LATER) == "ambiguous"


def test_twins_of_another_time_are_no_rivals() -> None:
    """A submission of an hour before can have made none of the tasks in question."""
    early = submission("b", "beta", T0 - 3_600_000)
    assert claim(submission(), [early, submission()], [task()], OVER_S, LATER) == task()


@dataclass(frozen=True)
class World:
    """What truly happened: who submitted when, and which of them made a task."""

    submissions: tuple[Prediction, ...]
    tasks: tuple[Task, ...]
    maker: dict[str, str]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Some equal submissions of some teams within minutes, some of which reached the upstream; and foreign tasks."""
    submissions, tasks, maker = [], [], {}
    for number in range(draw(st.integers(1, 5))):
        at_ms = T0 + draw(st.integers(0, 300_000))
        one = submission(f"p{number}", draw(st.sampled_from(["acme", "beta"])), at_ms)
        submissions.append(one)
        if draw(st.booleans()):
            made = task(f"t{number}", at_ms + draw(st.integers(-SKEW_MS, 60_000)))
            tasks.append(made)
            maker[made.upstream_id] = one.tenant
    return World(tuple(submissions), tuple(tasks), maker)


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(0, 600_000))
def test_whatever_happened_no_team_gets_another_s_task(world: World, after_ms: int) -> None:
    """Every unconfirmed submission asks at some moment: what one may claim was made by its own team."""
    now_ms = T0 + after_ms
    for mine in world.submissions:
        if mine.created_at_ms > now_ms:
            continue
        rivals = [
            one
            for one in world.submissions
            if one.created_at_ms <= now_ms
            and abs(one.created_at_ms - mine.created_at_ms) <= rivals_within_s(OVER_S) * 1000
        ]
        first_ms, last_ms = span_ms(mine, OVER_S)
        listed = [one for one in world.tasks if first_ms <= one.created_at_ms <= min(last_ms, now_ms)]
        got = claim(mine, rivals, listed, OVER_S, now_ms)
        if isinstance(got, Task):
            assert world.maker[got.upstream_id] == mine.tenant
