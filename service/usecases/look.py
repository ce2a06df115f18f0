"""Look once at a prediction that is due, and write down what follows: an end, the next look, or giving up."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Final, Literal

import structlog

from service.domain.catalogue import Catalogue, Model
from service.domain.errors import NotFound, ReadFailed
from service.domain.polling import PollProfile, after_failure_s, next_look_s
from service.domain.predictions import (
    GIVE_UP_UNCONFIRMED_MS,
    Observation,
    Prediction,
    State,
    ended_by_gateway,
    observed,
    outcome_unknown,
)
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.stores.work_schedule import WorkSchedule
from service.upstream.client import WaveSpeed
from service.usecases.transition import Transition

Result = Literal[
    "ended", "running", "unknown_status", "failed_look", "unconfirmed", "expired", "given_up", "nothing_owed"
]

UNSEEN_MARGIN_S: Final = 24 * 3600.0
"""How long past its deadline a prediction is looked for whose upstream gives no verdict: it may have finished, and be
paid for, so an outage must not end it."""

_KNOWN_RUNNING: Final = frozenset({"created", "processing"})
"""The statuses a running task is known to have; any other means running too, and is counted."""

_FORGOTTEN_MODEL: Final = PollProfile(usual_s=30, step_s=10, max_step_s=30, deadline_s=1800)
"""How a prediction is polled whose model has left the catalogue: what was accepted is looked after to its end."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """The use case behind a poll. An error is never a verdict: it only means looking again, later."""

    predictions: PredictionStore
    transition: Transition
    schedule: WorkSchedule
    upstream: WaveSpeed
    catalogue: Catalogue
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self, prediction_id: str, token: str) -> Result:
        """Look at one leased prediction. Raises `StoreUnavailable`: then the lease lapses and another look is made."""
        prediction = await self.predictions.load(prediction_id)
        if prediction is None or prediction.state.ended:
            await self.schedule.put_back("poll", prediction_id, token, None)
            result: Result = "nothing_owed"
        elif not prediction.upstream_id:
            result = await self._search(prediction, token)
        else:
            result = await self._ask(prediction, token)
        self.metrics.looks.labels(result).inc()
        return result

    def _profile(self, model_id: str) -> PollProfile:
        """How this model is polled."""
        try:
            model: Model = self.catalogue.get(model_id)
        except NotFound:
            return _FORGOTTEN_MODEL
        return model.poll

    async def _search(self, prediction: Prediction, token: str) -> Result:
        """A submission without an upstream id: its outcome is unknown, and after the bound it is given up."""
        profile = self._profile(prediction.model)
        age_ms = self.clock() * 1000 - prediction.created_at_ms
        if age_ms >= GIVE_UP_UNCONFIRMED_MS:
            reason = "WaveSpeed never confirmed this submission; it was not sent again, so that it cannot be paid twice"
            await self.transition(
                prediction,
                # Confirmed in the meantime: then it runs, and is looked at as usual.
                lambda p, now: None if p.upstream_id else ended_by_gateway(p, State.FAILED, reason, now),
            )
            return "given_up"
        delay_s = next_look_s(profile, age_ms / 1000, random())  # noqa: S311 jitter
        if prediction.state is State.SUBMITTING:
            await self.transition(prediction, lambda p, _: outcome_unknown(p), delay_s)
        else:
            await self.schedule.put_back("poll", prediction.id, token, delay_s)
        return "unconfirmed"

    async def _ask(self, prediction: Prediction, token: str) -> Result:
        """Ask the upstream, and act on a verdict."""
        profile = self._profile(prediction.model)
        elapsed_s = self.clock() - prediction.started_at_ms / 1000
        try:
            seen = await self.upstream.fetch(prediction.upstream_id)
        except ReadFailed as failure:
            log.info("look failed", prediction=prediction.id, tenant=prediction.tenant, reason=failure.reason)
            if elapsed_s >= profile.deadline_s + UNSEEN_MARGIN_S:
                return await self._expire(prediction, profile)
            failures = prediction.poll_failures + 1
            delay_s = after_failure_s(profile, failures, failure.retry_after_s, random())  # noqa: S311 jitter
            await self.schedule.put_back("poll", prediction.id, token, delay_s, {"poll_failures": failures})
            return "failed_look"
        if elapsed_s >= profile.deadline_s and seen.verdict == "running":
            return await self._expire(prediction, profile)
        return await self._note(prediction, token, seen, next_look_s(profile, elapsed_s, random()))  # noqa: S311

    async def _note(self, prediction: Prediction, token: str, seen: Observation, delay_s: float) -> Result:
        """Write what was seen; when it is nothing new, only arrange the next look."""
        if seen.verdict != "running":
            await self.transition(prediction, lambda p, now: observed(p, seen, now))
            return "ended"
        if observed(prediction, seen, 0) is not None:
            await self.transition(prediction, lambda p, now: observed(p, seen, now), delay_s)
        else:
            noted = {"poll_failures": 0} if prediction.poll_failures else None
            await self.schedule.put_back("poll", prediction.id, token, delay_s, noted)
            log.debug("look", prediction=prediction.id, tenant=prediction.tenant, status=seen.status)
        return "running" if seen.status in _KNOWN_RUNNING else "unknown_status"

    async def _expire(self, prediction: Prediction, profile: PollProfile) -> Result:
        """End a prediction that ran past its model's deadline."""
        reason = f"expired: no result within {profile.deadline_s:.0f} s of its start"
        await self.transition(prediction, lambda p, now: ended_by_gateway(p, State.EXPIRED, reason, now))
        return "expired"
