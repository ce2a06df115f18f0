"""Send one submission upstream, and write down what came of it: the one way a submission is ever sent."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random

import structlog

from service.domain.errors import (
    AccountFault,
    CapacityReached,
    NeverSent,
    OutcomeUnknown,
    UpstreamRefused,
)
from service.domain.moves import confirmed, outcome_unknown, put_back
from service.domain.polling import first_look_s
from service.domain.predictions import Prediction, State
from service.domain.timetable import Timetable
from service.metrics import Metrics
from service.stores.insisting import insist
from service.stores.submission_queue import SubmissionQueue, Verdict
from service.stores.work_schedule import WorkSchedule
from service.upstream.client import SUBMIT_OVER_S, WaveSpeed
from service.upstream.payloads import Started
from service.usecases.transition import Decide, Transition

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Start:
    """The use case. `upstream_callback` gives the address WaveSpeed is to call when a prediction ends, or ""."""

    transition: Transition
    upstream: WaveSpeed
    queue: SubmissionQueue
    schedule: WorkSchedule
    timetable: Timetable
    metrics: Metrics
    clock: Callable[[], float]
    upstream_callback: Callable[[str], str] = lambda _: ""

    async def __call__(self, intent: Prediction) -> Prediction:
        """POST once. The prediction: created, unconfirmed, or, when the account had no capacity after all, queued.

        Raises `NeverSent` and `UpstreamRefused` with nothing started and nothing written, but that an `AccountFault`
        mostly pauses the queue (it says whether); `StoreUnavailable` when Redis stays away for longer than a restart.
        """
        try:
            called_back_at = self.upstream_callback(intent.id)
            started = await self.upstream.create(intent.model, intent.input, intent.headers, called_back_at)
        except CapacityReached as full:
            self.count(intent, "capacity")
            verdict: Verdict = "concurrency" if "concurren" in full.message.lower() else "rate"
            return await self.put_back(intent, verdict, full.retry_after_s)
        except AccountFault as fault:
            self.count(intent, "refused")
            why = f"WaveSpeed answered {fault.status}"
            fault.paused = await insist(lambda: self.queue.refused(intent, why))
            log.error("the upstream refuses the account", status=fault.status, paused=fault.paused, model=intent.model)
            raise
        except (NeverSent, UpstreamRefused):
            self.count(intent, "refused")
            raise
        except OutcomeUnknown as unknown:
            self.count(intent, "unconfirmed")
            log.warning("submission unconfirmed", prediction=intent.id, tenant=intent.tenant, reason=str(unknown))
            return await self.record(intent, lambda p, _: outcome_unknown(p), self._over_in_s(intent))
        self.count(intent, "started")
        first_s = first_look_s(self.timetable.profile(intent.model), random())  # noqa: S311 jitter
        recorded = await self.record(intent, _confirm(started), first_s)
        if recorded.state is State.SUBMITTING:  # the task the answer names is another prediction's: it proves nothing
            return await self.record(intent, lambda p, _: outcome_unknown(p), self._over_in_s(intent))
        return recorded

    async def put_back(self, intent: Prediction, verdict: Verdict, retry_after_s: float | None = None) -> Prediction:
        """Let a submission that provably was not started wait in its place, and the account rest as `verdict` says."""
        await insist(lambda: self.queue.heard(verdict, intent.model_class, retry_after_s))
        waiting = await self.record(intent, put_back)
        self.schedule.wake("submit", 0.0)
        return waiting

    async def record(self, intent: Prediction, decide: Decide, next_look_s: float = 0.0) -> Prediction:
        """Write what came of it, trying for longer than a Redis restart takes."""
        return await insist(lambda: self.transition(intent, decide, next_look_s))

    def count(self, intent: Prediction, outcome: str) -> None:
        """Count a submission by what came of it."""
        label = self.timetable.catalogue.label(intent.model)
        self.metrics.submissions.labels(intent.tenant, label, outcome).inc()

    def _over_in_s(self, intent: Prediction) -> float:
        """Seconds until this submission, and any made at the same time, can be under way no more."""
        return max(0.0, intent.sent_at_ms / 1000 + SUBMIT_OVER_S - self.clock())


def _confirm(started: Started) -> Decide:
    """The change that puts a submission under its upstream id."""
    return lambda prediction, now_ms: confirmed(prediction, started.upstream_id, now_ms)
