"""WaveSpeed says that a task has ended: the same transition as a poll would make, without waiting for one."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Literal

import structlog

from service.domain.moves import confirmed, dispossessed, observed
from service.domain.polling import first_look_s
from service.domain.predictions import Change, Prediction
from service.domain.timetable import Timetable
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.upstream.payloads import CalledBack
from service.usecases.transition import Transition

Outcome = Literal["settled", "running", "repeated", "foreign", "too_late", "unknown"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReceiveCallback:
    """The use case, for a callback whose address and signature have been verified."""

    predictions: PredictionStore
    transition: Transition
    timetable: Timetable
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self, prediction_id: str, called: CalledBack) -> Outcome:
        """Confirm the prediction by the callback if nobody did before, then write what it says.

        A repeated one, one about another task, and one of a prediction that is gone change nothing. Raises
        `StoreUnavailable`: WaveSpeed sends it again.
        """
        outcome = await self._take(prediction_id, called)
        self.metrics.upstream_callbacks.labels(outcome).inc()
        log.info("upstream callback", prediction=prediction_id, outcome=outcome, status=called.seen.status)
        return outcome

    async def _take(self, prediction_id: str, called: CalledBack) -> Outcome:
        prediction = await self.predictions.load(prediction_id)
        if prediction is None:
            return "unknown"
        if prediction.upstream_id != called.upstream_id:
            prediction = await self._confirmed(prediction, called)
        if not prediction.upstream_id:
            log.error("a submission that was given up ran nevertheless", prediction=prediction_id)
            return "too_late"
        if prediction.upstream_id != called.upstream_id:
            self.metrics.transitions.labels("foreign").inc()
            return "foreign"

        def decide(newest: Prediction, now_ms: int) -> Change | None:
            return observed(newest, called.seen, now_ms) if newest.upstream_id == called.upstream_id else None

        after = await self.transition(prediction, decide, self._next_look_s(prediction))
        if after.rev == prediction.rev:
            return "repeated"
        return "running" if after.watched else "settled"

    async def _confirmed(self, prediction: Prediction, called: CalledBack) -> Prediction:
        """Put a prediction under the task that was called back about: the address was given to that task alone."""
        if prediction.upstream_id:  # what was found in the list was another's
            prediction = await self.transition(prediction, lambda p, _: dispossessed(p, "callback"))

        def decide(newest: Prediction, now_ms: int) -> Change | None:
            if newest.upstream_id:
                return None
            return confirmed(newest, called.upstream_id, now_ms, "callback", called.created_at_ms)

        return await self.transition(prediction, decide, self._next_look_s(prediction))

    def _next_look_s(self, prediction: Prediction) -> float:
        """When to look, should the callback after this one get lost."""
        return first_look_s(self.timetable.profile(prediction.model), random())  # noqa: S311 jitter
