"""Look once at a prediction that is due, and write down what follows: an end, the next look, or giving up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import random
from typing import Final, Literal

import structlog

from service.domain.errors import ReadFailed, ReadsPaused
from service.domain.moves import confirmed, ended_by_gateway, given_up, gone, observed, orphaned, outcome_unknown
from service.domain.polling import PollProfile, Running, after_failure_s, next_look_s, next_rare_look_s
from service.domain.predictions import Observation, Prediction, State
from service.domain.timetable import Timetable
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.stores.work_schedule import WorkSchedule
from service.upstream.client import WaveSpeed
from service.usecases.find_task import FindTask
from service.usecases.transition import Transition

Result = Literal[
    "ended",
    "running",
    "unknown_status",
    "failed_look",
    "paused",
    "unconfirmed",
    "found",
    "expired",
    "given_up",
    "closed",
    "orphaned",
    "nothing_owed",
]

GONE_AFTER: Final = 5
"""After so many looks in a row that find no such task, what has ended for its tenant is not made any more."""

_KNOWN_RUNNING: Final = frozenset({"created", "processing"})
"""The statuses a running task is known to have; any other means running too, and is counted."""

NEVER_CONFIRMED: Final = (
    "WaveSpeed never confirmed this submission; it was not sent again, so that it cannot be paid twice"
)
"""What a caller reads of a submission that was given up."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """The use case behind a poll. An error is never a verdict: it only means looking again, later."""

    predictions: PredictionStore
    transition: Transition
    schedule: WorkSchedule
    upstream: WaveSpeed
    find_task: FindTask
    timetable: Timetable
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self, prediction_id: str, token: str, running: Running | None = None) -> Result:
        """Look at one leased prediction. Raises `StoreUnavailable`: then the lease lapses and another look is made.

        Of one that is known to be `running` no record is read until there is news.
        """
        result: Result
        if running is None:
            result = await self._look(prediction_id, token)
        else:
            seen = await self._seen(running.upstream_id)
            if isinstance(seen, ReadFailed) or seen.verdict != "running" or self._is_over(running):
                result = await self._look(prediction_id, token, running.upstream_id, seen)
            else:
                result = await self._goes_on(prediction_id, token, running, seen)
        self.metrics.looks.labels(result).inc()
        return result

    async def _look(
        self, prediction_id: str, token: str, asked_of: str = "", seen: Observation | ReadFailed | None = None
    ) -> Result:
        """Look at one whose record is needed; `seen` is what the upstream says of its task `asked_of`, if known."""
        prediction = await self.predictions.load(prediction_id)
        if prediction is None or not prediction.watched:
            await self.schedule.put_back("poll", prediction_id, token, None)
            return "nothing_owed"
        if not prediction.upstream_id:
            return await self._search(prediction, token)
        if seen is None or asked_of != prediction.upstream_id:
            seen = await self._seen(prediction.upstream_id)
        return await self._act(prediction, token, seen)

    async def _seen(self, upstream_id: str) -> Observation | ReadFailed:
        """What the upstream says of a task, or why it said nothing."""
        try:
            return await self.upstream.fetch(upstream_id)
        except ReadFailed as failure:
            return failure

    def _is_over(self, running: Running) -> bool:
        """Whether it has run for longer than its model's deadline."""
        return self._since_s(running.started_at_ms) >= self.timetable.profile(running.model).deadline_s

    async def _goes_on(
        self, prediction_id: str, token: str, running: Running, seen: Observation, state: State = State.PROCESSING
    ) -> Result:
        """It runs as before: look again."""
        profile = self.timetable.profile(running.model)
        delay_s = next_look_s(profile, self._since_s(running.started_at_ms), random())  # noqa: S311 jitter
        if state is State.PROCESSING and seen.status != State.PROCESSING:
            self.metrics.transitions.labels("ignored").inc()  # it went backwards, or where nobody knows
        noted = {"poll_failures": 0} if running.poll_failures else None
        await self.schedule.put_back("poll", prediction_id, token, delay_s, noted)
        log.debug("look", prediction=prediction_id, status=seen.status)
        return _running(seen)

    async def _search(self, prediction: Prediction, token: str) -> Result:
        """A submission without an upstream id: it is looked for, and after the bound given up."""
        age_s = self.clock() - prediction.sent_at_ms / 1000
        to_wait_s = self.find_task.submit_over_s - age_s
        if to_wait_s > 0:  # its POST may still be under way, and so may a twin's
            await self.schedule.put_back("poll", prediction.id, token, to_wait_s)
            return "unconfirmed"
        profile = self.timetable.profile(prediction.model)
        patience = self.timetable.patience
        delay_s = next_rare_look_s(profile, patience, age_s, random())  # noqa: S311 jitter
        if age_s < patience.give_up_s:
            delay_s = min(delay_s, patience.give_up_s - age_s)
        if prediction.state is State.SUBMITTING:  # whoever should have confirmed it has died
            prediction = await self.transition(prediction, lambda p, _: outcome_unknown(p), delay_s)
        task = await self.find_task(prediction)
        if task is not None:
            prediction = await self.transition(
                prediction, lambda p, now: confirmed(p, task.upstream_id, now, "list", task.created_at_ms)
            )
            if prediction.upstream_id:
                log.info("unconfirmed submission found", prediction=prediction.id, tenant=prediction.tenant)
                return "found"
        if age_s >= patience.give_up_s:
            await self.transition(prediction, lambda p, now: given_up(p, NEVER_CONFIRMED, now))
            return "given_up"
        await self.schedule.put_back("poll", prediction.id, token, delay_s)
        return "unconfirmed"

    async def _act(self, prediction: Prediction, token: str, seen: Observation | ReadFailed) -> Result:
        """Act on what the upstream says of it."""
        profile = self.timetable.profile(prediction.model)
        if isinstance(seen, ReadsPaused):
            delay_s = seen.wait_s + next_look_s(profile, 0.0, random())  # noqa: S311 jitter
            return await self._silence(prediction, token, profile, "paused", delay_s)
        if isinstance(seen, ReadFailed):
            log.info("look failed", prediction=prediction.id, tenant=prediction.tenant, reason=seen.reason)
            failures = prediction.poll_failures + 1
            delay_s = after_failure_s(profile, failures, seen.retry_after_s, random())  # noqa: S311 jitter
            if prediction.closing:
                return await self._not_there(prediction, token, profile, failures if seen.absent else 0)
            return await self._silence(prediction, token, profile, "failed_look", delay_s, failures)
        if seen.verdict != "running":
            await self.transition(prediction, lambda p, now: observed(p, seen, now))
            return "closed" if prediction.closing else "ended"
        return await self._runs(prediction, token, profile, seen)

    async def _runs(self, prediction: Prediction, token: str, profile: PollProfile, seen: Observation) -> Result:
        """It runs: until its deadline, and one that has ended for its tenant until it is closed."""
        if prediction.closing:
            return await self._wait_to_close(prediction, token, profile, "running", {"poll_failures": 0})
        elapsed_s = self._since_s(prediction.started_at_ms)
        if elapsed_s >= profile.deadline_s:
            return await self._expire(prediction, profile)
        if observed(prediction, seen, 0) is not None:
            delay_s = next_look_s(profile, elapsed_s, random())  # noqa: S311 jitter
            await self.transition(prediction, lambda p, now: observed(p, seen, now), delay_s)
            return _running(seen)
        known = Running(prediction.upstream_id, prediction.model, prediction.started_at_ms, prediction.poll_failures)
        return await self._goes_on(prediction.id, token, known, seen, prediction.state)

    async def _silence(
        self,
        prediction: Prediction,
        token: str,
        profile: PollProfile,
        result: Literal["paused", "failed_look"],
        delay_s: float,
        failures: int = 0,
    ) -> Result:
        """No verdict was to be had: look again, unless it has been waited for long enough."""
        if prediction.closing:
            return await self._wait_to_close(prediction, token, profile, result)
        if self._since_s(prediction.started_at_ms) >= profile.deadline_s + self.timetable.patience.unseen_s:
            return await self._expire(prediction, profile)
        await self.schedule.put_back(
            "poll", prediction.id, token, delay_s, {"poll_failures": failures} if failures else None
        )
        return result

    async def _not_there(self, prediction: Prediction, token: str, profile: PollProfile, times: int) -> Result:
        """A canceled or expired one could not be looked at, `times` in a row because the upstream has no such task."""
        if times < GONE_AFTER:
            return await self._wait_to_close(prediction, token, profile, "failed_look", {"poll_failures": times})
        await self.transition(prediction, gone)
        return "closed"

    async def _wait_to_close(
        self,
        prediction: Prediction,
        token: str,
        profile: PollProfile,
        result: Result,
        noted: Mapping[str, int] | None = None,
    ) -> Result:
        """What a canceled or expired one costs is not known yet: look again, or count it as paid."""
        since_end_s = self._since_s(prediction.ended_at_ms)
        if since_end_s >= self.timetable.patience.close_s:
            await self.transition(prediction, orphaned)
            log.warning("prediction orphaned", prediction=prediction.id, tenant=prediction.tenant)
            return "orphaned"
        delay_s = next_rare_look_s(profile, self.timetable.patience, since_end_s, random())  # noqa: S311 jitter
        await self.schedule.put_back("poll", prediction.id, token, delay_s, noted)
        return result

    def _since_s(self, at_ms: int) -> float:
        """How long ago that was."""
        return self.clock() - at_ms / 1000

    async def _expire(self, prediction: Prediction, profile: PollProfile) -> Result:
        """End a prediction that ran past its model's deadline; it is closed later."""
        reason = f"expired: no result within {profile.deadline_s:.0f} s of its start"
        await self.transition(
            prediction, lambda p, now: ended_by_gateway(p, State.EXPIRED, reason, now), profile.max_step_s
        )
        return "expired"


def _running(seen: Observation) -> Result:
    """What a look at a running task came to."""
    return "running" if seen.status in _KNOWN_RUNNING else "unknown_status"
