"""Accept one submission: make the intent durable, start it upstream at most once, arrange the first look."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import random
from typing import Any, Final

import structlog
from uuid_utils import uuid7

from service.domain.callback_address import CallbackPolicy
from service.domain.catalogue import Catalogue, Model
from service.domain.errors import (
    NeverSent,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
    UpstreamError,
    UpstreamRefused,
)
from service.domain.polling import first_look_s
from service.domain.predictions import (
    Prediction,
    State,
    confirmed,
    ended_by_gateway,
    fingerprint,
    initial_answer,
    json_bytes,
    outcome_unknown,
)
from service.domain.tenants import Tenant
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.upstream.client import SUBMIT_S, WaveSpeed
from service.upstream.payloads import Started
from service.usecases.transition import Decide, Transition

ANSWER_WITHIN_S: Final = 5.5
"""The caller is answered within this time whatever the upstream does; clients that abort do so at 10 s."""

LOOK_WITHIN_S: Final = SUBMIT_S + 10.0
"""An admission nobody confirmed is looked at after this time: the POST has ended by then, one way or the other."""

MAX_RUNNING: Final = 2_048
"""Most submissions in flight in one process: each holds its body until the upstream has answered."""

_RECORD_DELAYS_S: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 10.0, 10.0)
"""Waits before writing the outcome of a POST again when Redis was away: it is known nowhere else."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller wants: model, inputs as sent, and the callback of this one request ("" for none).

    `headers` are the caller's that may travel upstream; `request_id` and `traceparent` tie logs and traces together.
    """

    model: str
    inputs: Mapping[str, Any]
    callback_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    traceparent: str = ""


@dataclass(slots=True)
class _Story:
    """What the caller and the task agree on: an id is promised, or the admission is taken back, never both."""

    promised: bool = False
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """The use case. Its POSTs run in tasks of their own: a caller who hangs up changes nothing, a drain waits."""

    predictions: PredictionStore
    transition: Transition
    upstream: WaveSpeed
    catalogue: Catalogue
    callbacks: CallbackPolicy
    metrics: Metrics
    require_room: Callable[[], None]
    clock: Callable[[], float]
    answer_within_s: float = ANSWER_WITHIN_S
    running: set[asyncio.Task[Prediction]] = field(default_factory=set)

    async def __call__(self, tenant: Tenant, submission: Submission) -> Prediction:
        """Return the prediction, `created` as far as the caller is concerned.

        Raises, with nothing charged and nothing running: `NotFound` (model), `InvalidInput`, `CallbackDenied`,
        `TenantSuspended`, `Overloaded`, `StoreUnavailable` (fails closed: nothing is sent upstream), `NeverSent`,
        `UpstreamRefused`.
        """
        model = self.catalogue.get(submission.model)
        model.check(submission.inputs)
        if submission.callback_url:
            self.callbacks.replaced_by(tenant.callback_allow).check_url(submission.callback_url)
        self.require_room()
        if len(self.running) >= MAX_RUNNING:
            raise Overloaded("too many submissions are in flight")
        intent = self._intent(tenant, model, submission)
        try:
            await self.predictions.admit(intent, LOOK_WITHIN_S)
        except StoreUnavailable:
            await self._take_back(intent)  # it may have been written: the caller gets no id, and nothing is sent
            raise
        story = _Story()
        task = asyncio.create_task(self._start(intent, model, submission, story))
        self.running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=self.answer_within_s)
        if not done and not story.taken_back:
            story.promised = True
            self.metrics.submissions.labels(tenant.id, model.id, "answered_early").inc()
            return intent
        return await asyncio.shield(task)

    def _intent(self, tenant: Tenant, model: Model, submission: Submission) -> Prediction:
        """The record that is made durable before anything is sent."""
        now_ms = int(self.clock() * 1000)
        inputs = json_bytes(submission.inputs)
        prediction_id = uuid7().hex
        return Prediction(
            id=prediction_id,
            tenant=tenant.id,
            model=model.id,
            state=State.SUBMITTING,
            created_at_ms=now_ms,
            input=inputs,
            input_bytes=len(inputs),
            input_sha256=fingerprint(submission.inputs),
            callback_url=submission.callback_url,
            price_micros=model.price_micros,
            request_id=submission.request_id,
            traceparent=submission.traceparent,
            answer=initial_answer(prediction_id, model.id, now_ms),
        )

    async def _start(self, intent: Prediction, model: Model, submission: Submission, story: _Story) -> Prediction:
        """POST once, then write down what came of it; a refusal after the caller got an id ends the prediction."""
        try:
            started = await self.upstream.create(model.id, intent.input, submission.headers)
        except (NeverSent, UpstreamRefused) as refusal:
            self.metrics.submissions.labels(intent.tenant, model.id, "refused").inc()
            if story.promised:
                reason = f"not started: {refusal}"
                return await self._record(intent, lambda p, now: ended_by_gateway(p, State.FAILED, reason, now), None)
            story.taken_back = True
            await self._take_back(intent)
            raise
        except OutcomeUnknown as unknown:
            self.metrics.submissions.labels(intent.tenant, model.id, "unconfirmed").inc()
            log.warning("submission unconfirmed", prediction=intent.id, tenant=intent.tenant, reason=str(unknown))
            return await self._record(intent, lambda p, _: outcome_unknown(p), model.poll.usual_s)
        self.metrics.submissions.labels(intent.tenant, model.id, "started").inc()
        return await self._record(intent, _confirm(started), first_look_s(model.poll, random()))  # noqa: S311 jitter

    async def _take_back(self, intent: Prediction) -> None:
        """Forget the admission; if Redis is away just now, the record ends by itself as never confirmed."""
        try:
            await self.predictions.withdraw(intent)
        except StoreUnavailable as away:
            log.warning("admission not withdrawn", prediction=intent.id, tenant=intent.tenant, reason=str(away))

    async def _record(self, intent: Prediction, decide: Decide, next_look_s: float | None) -> Prediction:
        """Write the outcome of the POST, trying for longer than a Redis restart takes."""
        for delay_s in (*_RECORD_DELAYS_S, None):
            try:
                return await self.transition(intent, decide, next_look_s)
            except StoreUnavailable:
                if delay_s is None:
                    raise
                await asyncio.sleep(delay_s)
        raise AssertionError("unreachable: the last try returns or raises")

    def _ended(self, task: asyncio.Task[Prediction]) -> None:
        """Let go of an ended task; what it raised was told to the caller, or is logged here."""
        self.running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, UpstreamError | StoreUnavailable):
            log.error("submission task failed", error=type(error).__name__, exc_info=error)

    async def drain(self, within_s: float) -> int:
        """Wait for POSTs in flight, at most `within_s`; return how many were still going (they end as unconfirmed)."""
        if not self.running:
            return 0
        _, pending = await asyncio.wait(set(self.running), timeout=within_s)
        return len(pending)


def _confirm(started: Started) -> Decide:
    """The change that puts a submission under its upstream id."""
    return lambda prediction, now_ms: confirmed(prediction, started.upstream_id, now_ms)
