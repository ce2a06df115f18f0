"""Which task of the account is an unconfirmed submission's: only one that can be nobody else's. Pure.

A wrong claim would hand one team's video to another, so whatever is not certain is nobody's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from service.domain.predictions import Prediction

SKEW_MS: Final = 10_000
"""How far the upstream's clock may be from ours."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the account that belongs to no prediction, of the model and inputs in question."""

    upstream_id: str
    created_at_ms: int


def span_ms(prediction: Prediction, submit_over_s: float) -> tuple[int, int]:
    """From when to when the task of a submission can have been made, if there is one."""
    return prediction.sent_at_ms - SKEW_MS, prediction.sent_at_ms + int(submit_over_s * 1000) + SKEW_MS


def rivals_within_s(submit_over_s: float) -> float:
    """How far apart two submissions may have been admitted and still both have made one task."""
    return submit_over_s + 2 * SKEW_MS / 1000


def claim(
    mine: Prediction, twins: Sequence[Prediction], tasks: Sequence[Task], submit_over_s: float, now_ms: int
) -> Task | Literal["none", "ambiguous"]:
    """The task `mine` may claim.

    `twins` are all submissions of equal model and inputs that may have made a task nobody knows of: `mine`, those still
    looked for, and those given up.

    There must be exactly one task and one claimant; or all claimants are one tenant's, to whom the tasks are worth the
    same, and as many as the tasks: then the oldest gets the oldest. Nothing is claimed while a submission that could
    have made one of the tasks may still be under way: whoever made it may be about to say so.
    """
    settled_ms = now_ms - int(submit_over_s * 1000)
    fitting = [task for task in tasks if _fits(mine, task, submit_over_s)]
    if not fitting or any(task.created_at_ms > settled_ms for task in fitting):
        return "none"
    claimants = [twin for twin in twins if any(_fits(twin, task, submit_over_s) for task in fitting)]
    one_tenant = {claimant.tenant for claimant in claimants} == {mine.tenant}
    if len(claimants) != len(fitting) or not one_tenant or mine.id not in {one.id for one in claimants}:
        return "ambiguous"
    claimants.sort(key=lambda one: (one.sent_at_ms, one.id))
    fitting.sort(key=lambda task: (task.created_at_ms, task.upstream_id))
    return fitting[[one.id for one in claimants].index(mine.id)]


def _fits(prediction: Prediction, task: Task, submit_over_s: float) -> bool:
    """Whether a task was made when this submission could have made it."""
    earliest_ms, latest_ms = span_ms(prediction, submit_over_s)
    return earliest_ms <= task.created_at_ms <= latest_ms
