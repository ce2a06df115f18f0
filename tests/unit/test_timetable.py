"""When a prediction counts as stuck, and when something is due of one that has ended."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.catalogue_file import read_catalogue
from service.domain.polling import Patience
from service.domain.predictions import RETENTION_MS, Prediction, State
from service.domain.timetable import Timetable

TIMETABLE = Timetable(read_catalogue(), Patience(), 86_400.0)
NOW_MS = 1_800_000_000_000
DAY_S = 86_400


def prediction(state: State = State.CREATED, model: str = "openai/sora-2", **known: Any) -> Prediction:
    """One with an upstream task."""
    fields: dict[str, Any] = {"upstream_id": "up-1", "money": "held", **known}
    return Prediction("p1", "acme", model, state, NOW_MS, **fields)


def ended(**known: Any) -> Prediction:
    """A completed one with outputs."""
    answer = {"outputs": ["https://cdn.example/1.mp4"]}
    fields: dict[str, Any] = {"ended_at_ms": NOW_MS, "answer": answer, "money": "settled", **known}
    return prediction(State.COMPLETED, **fields)


def test_a_model_that_left_the_catalogue_is_still_polled() -> None:
    """What was accepted is looked after to its end, whatever operators do to the catalogue."""
    assert TIMETABLE.profile("gone/model").deadline_s == 1800
    assert TIMETABLE.profile("openai/sora-2").usual_s == 45


def test_with_callbacks_every_profile_is_a_safety_net() -> None:
    """Looks are sparser for known and forgotten models alike."""
    called_back = replace(TIMETABLE, called_back=True)
    for model in ("openai/sora-2", "gone/model"):
        assert called_back.profile(model) == TIMETABLE.profile(model).as_safety_net()


@pytest.mark.parametrize(
    ("one", "after_s"),
    [
        (prediction(), 1_800 + 300),
        (prediction(State.PROCESSING), 1_800 + 300),
        (prediction(State.SUBMITTING, upstream_id=""), 1_800 + 300),
        (prediction(State.UNCONFIRMED, upstream_id=""), 1_800 + 300),
        (prediction(State.CANCELED), DAY_S + 300),
        (prediction(State.EXPIRED), DAY_S + 300),
    ],
    ids=lambda value: value.state.value if isinstance(value, Prediction) else "",
)
def test_stuck_is_the_longest_wait_and_five_minutes(one: Prediction, after_s: float) -> None:
    """Running until its deadline, unconfirmed until it is given up, closing for a day: none of that is stuck."""
    assert TIMETABLE.stuck_after_s(one) == after_s


def test_outputs_are_announced_before_they_go_and_the_record_goes_with_them() -> None:
    """A day before, unless that was done; seven days after the end everything is due to go."""
    assert TIMETABLE.next_retention_s(ended(), NOW_MS) == RETENTION_MS / 1000 - DAY_S
    assert TIMETABLE.next_retention_s(ended(expiring_sequence=3), NOW_MS) == RETENTION_MS / 1000
    assert TIMETABLE.next_retention_s(ended(answer={"outputs": []}), NOW_MS) == RETENTION_MS / 1000
    assert replace(TIMETABLE, expiring_s=0.0).next_retention_s(ended(), NOW_MS) == RETENTION_MS / 1000


def test_what_is_overdue_is_due_now() -> None:
    """Never a negative wait; and nothing is due of what has not ended."""
    assert TIMETABLE.next_retention_s(ended(expiring_sequence=3), NOW_MS + 2 * RETENTION_MS) == 0
    assert TIMETABLE.next_retention_s(prediction(), NOW_MS) is None
