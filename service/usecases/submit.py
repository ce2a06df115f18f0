"""Accept one submission: make the intent durable, start it upstream at most once, arrange the first look."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

import structlog
from uuid_utils import uuid7

from service.domain.answers import initial_answer
from service.domain.callback_address import CallbackPolicy
from service.domain.capacity import class_of
from service.domain.catalogue import Catalogue, Model
from service.domain.errors import (
    AccountFault,
    BreakwaterError,
    IdempotencyConflict,
    NeverSent,
    Overloaded,
    StoreUnavailable,
    UpstreamError,
    UpstreamRefused,
)
from service.domain.json_forms import fingerprint, json_bytes
from service.domain.limits import LimitState, QuotaExceeded
from service.domain.moves import never_started
from service.domain.predictions import Change, Encoding, Prediction, State
from service.domain.tenants import Tenant
from service.domain.timetable import Timetable
from service.metrics import Metrics
from service.stores.insisting import insist
from service.stores.prediction_store import PredictionStore
from service.stores.quota_ledger import IdempotencyKey, QuotaLedger
from service.upstream.client import SUBMIT_OVER_S
from service.usecases.start import Start
from service.usecases.transition import Decide, Transition

ANSWER_WITHIN_S: Final = 5.5
"""The caller is answered within this time whatever the upstream does; clients that abort do so at 10 s."""

SLOT_MARGIN_S: Final = 600.0
"""How long past its model's deadline a slot is looked at, should the end of its prediction not have freed it."""

MAX_RUNNING: Final = 2_048
"""Most submissions in flight in one process: each holds its body until the upstream has answered."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller wants: model, inputs as sent, and the callback of this one request ("" for none).

    `headers` are the caller's that may travel upstream; `request_id` and `traceparent` tie logs and traces together.
    `idempotency_key` ("" for none) holds for one tenant on one `route`. `encoding` is how outputs are to be read there,
    `metadata` the caller's own notes.
    """

    model: str
    inputs: Mapping[str, Any]
    callback_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    traceparent: str = ""
    idempotency_key: str = ""
    route: str = ""
    encoding: Encoding = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def idempotency(self, tenant_id: str) -> IdempotencyKey | None:
        """What tells copies of this submission apart from other requests, if its caller gave a key."""
        if not self.idempotency_key:
            return None
        scope = json_bytes([tenant_id, self.route, self.idempotency_key])
        return IdempotencyKey(sha256(scope).hexdigest(), self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """Equal for submissions that ask for the same."""
        asked: list[Any] = [self.model, self.callback_url, dict(self.inputs)]
        if self.encoding or self.metadata:
            asked += [self.encoding, dict(self.metadata)]
        return fingerprint(asked)


class Accepted(NamedTuple):
    """An accepted submission: its prediction as it was admitted, which is what its caller is told of it, whatever
    has become of it since; its model; and where the tenant's limits stand.

    `replayed` when an earlier copy with the same idempotency key was accepted, and this is its answer again;
    `low_balance` when the company's account has little money left.
    """

    prediction: Prediction
    model: Model
    states: tuple[LimitState, ...] = ()
    replayed: bool = False
    low_balance: bool = False


@dataclass(slots=True)
class _Story:
    """What the caller and the task agree on: an id is promised, or the admission is taken back, never both."""

    promised: bool = False
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """The use case. Its POSTs run in tasks of their own: a caller who hangs up changes nothing, a drain waits."""

    ledger: QuotaLedger
    predictions: PredictionStore
    transition: Transition
    start: Start
    catalogue: Catalogue
    timetable: Timetable
    callbacks: CallbackPolicy
    metrics: Metrics
    require_room: Callable[[], None]
    clock: Callable[[], float]
    answer_within_s: float = ANSWER_WITHIN_S
    running: set[asyncio.Task[Prediction]] = field(default_factory=set)

    async def __call__(self, tenant: Tenant, submission: Submission) -> Accepted:
        """Return the prediction, `created` as far as the caller is concerned, or `queued` while the account is busy.

        Raises, with nothing charged and nothing running: `NotFound` (model), `ModelRetired`, `InvalidInput`,
        `CallbackDenied`, `TenantSuspended`, `ModelDenied`, `QuotaExceeded`, `IdempotencyMismatch`,
        `IdempotencyConflict`, `Overloaded`, `StoreUnavailable` (fails closed: nothing is sent upstream), `NeverSent`,
        `UpstreamRefused`.
        """
        model = self.catalogue.get(submission.model)
        model.require_current()
        model.check(submission.inputs)
        price_micros = model.price.micros_of(submission.inputs)
        if submission.callback_url:
            self.callbacks.replaced_by(tenant.callback_allow).check_url(submission.callback_url)
        self.require_room()
        if len(self.running) >= MAX_RUNNING:
            raise Overloaded("too many submissions are in flight")
        intent = self._intent(tenant, model, submission, price_micros)
        idempotency = submission.idempotency(tenant.id)
        try:
            admission = await self.ledger.admit(
                intent,
                SUBMIT_OVER_S,
                model.poll.deadline_s + SLOT_MARGIN_S,
                idempotency,
                self.timetable.stuck_after_s(intent),
            )
        except StoreUnavailable as away:
            # It may have been written: the caller gets no id, and nothing is sent.
            await self._take_back(intent, idempotency, away)
            raise
        except QuotaExceeded as refusal:
            self._count(tenant, refusal.states)
            raise
        if admission.replayed_id:
            return await self._replayed(admission.replayed_id, intent, tenant, model)
        self._count(tenant, admission.states)
        prediction = admission.prediction
        if prediction.state is State.QUEUED:
            self.start.count(prediction, "queued")
            self.start.schedule.wake("submit", 0.0)
        else:
            prediction = await self._answered(prediction, idempotency)
        return Accepted(prediction, model, admission.states, low_balance=admission.low)

    async def _answered(self, intent: Prediction, idempotency: IdempotencyKey | None) -> Prediction:
        """Start an admitted submission, and wait for what comes of it as long as the caller may wait.

        The prediction as its caller is told of it: as it was admitted, unless it has to wait after all.
        """
        story = _Story()
        task = self._keep(self._start(intent, idempotency, story))
        done, _ = await asyncio.wait({task}, timeout=self.answer_within_s)
        if not done and not story.taken_back:
            story.promised = True
            self.start.count(intent, "answered_early")
            return intent
        after = await asyncio.shield(task)
        return after if after.state is State.QUEUED else intent

    async def _replayed(self, prediction_id: str, copy: Prediction, tenant: Tenant, model: Model) -> Accepted:
        """The answer an earlier copy got, whatever has become of its prediction since."""
        earlier, states = await asyncio.gather(
            self.predictions.load(prediction_id),
            self.ledger.standing(tenant.id, tenant.limits, int(self.clock() * 1000)),
        )
        if earlier is None:  # taken back between the script and this look: the key is free again
            raise IdempotencyConflict("the submission with this Idempotency-Key has just been taken back; try again")
        self.metrics.submissions.labels(earlier.tenant, model.label, "replayed").inc()
        return Accepted(copy._replace(**_admitted_as(earlier)), model, states, replayed=True)

    def _count(self, tenant: Tenant, states: tuple[LimitState, ...]) -> None:
        """Count what each limit said."""
        for state in states:
            self.metrics.quota_decisions.labels(tenant.id, state.name, state.verdict).inc()

    def _intent(self, tenant: Tenant, model: Model, submission: Submission, price_micros: int) -> Prediction:
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
            model_class=class_of(model.type),
            headers=submission.headers,
            input=inputs,
            input_bytes=len(inputs),
            input_sha256=fingerprint(submission.inputs),
            callback_url=submission.callback_url,
            price_micros=price_micros,
            booked_as="" if model.listed else model.label,
            money="held",
            request_id=submission.request_id,
            traceparent=submission.traceparent,
            encoding=submission.encoding,
            metadata=submission.metadata,
            answer=initial_answer(prediction_id, model.id, now_ms),
        )

    async def _start(self, intent: Prediction, idempotency: IdempotencyKey | None, story: _Story) -> Prediction:
        """Send it; a refusal after the caller got an id ends the prediction, one before takes it back."""
        try:
            return await self.start(intent)
        except (NeverSent, UpstreamRefused) as refusal:
            if story.promised and isinstance(refusal, NeverSent):
                return await self.start.put_back(intent, "unreachable")
            if story.promised and isinstance(refusal, AccountFault) and refusal.paused:
                return await self.start.put_back(intent, "over")
            if story.promised:
                return await self.start.record(intent, _refuse(refusal))
            story.taken_back = True
            await self._take_back(intent, idempotency, refusal)
            raise

    async def _take_back(self, intent: Prediction, idempotency: IdempotencyKey | None, reason: BreakwaterError) -> None:
        """Forget an admission that started nothing; while Redis is away the caller does not wait for that."""
        try:
            await self._withdraw(intent, idempotency, reason)
        except StoreUnavailable:
            if len(self.running) < MAX_RUNNING:  # else it ends by itself, as never confirmed
                self._keep(insist(lambda: self._withdraw(intent, idempotency, reason)))

    async def _withdraw(
        self, intent: Prediction, idempotency: IdempotencyKey | None, reason: BreakwaterError
    ) -> Prediction:
        """Take an admission back, or end it as failed if a copy of its request may have been answered with its id."""
        if not await self.ledger.withdraw(intent, idempotency, unsent=not isinstance(reason, UpstreamRefused)):
            admitted = await self.predictions.load(intent.id)  # only the script knows the day it was booked to
            if admitted is not None:
                return await self.transition(admitted, _refuse_unsent(reason))
        elif await self.start.queue.waits():
            self.start.schedule.wake("submit", 0.0)  # its place is free
        return intent

    def _keep(self, work: Coroutine[Any, Any, Prediction]) -> asyncio.Task[Prediction]:
        """Have work done whatever becomes of the caller; a drain waits for it."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self._ended)
        return task

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
        for task in pending:  # what comes of them would be written to stores that are closed by then
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return len(pending)


def _admitted_as(earlier: Prediction) -> dict[str, Any]:
    """What tells an earlier copy from one admitted now: id, time, and the answer that follows from them."""
    answer = initial_answer(earlier.id, earlier.model, earlier.created_at_ms)
    waits = {"state": State.QUEUED} if earlier.state is State.QUEUED else {}
    return {"id": earlier.id, "created_at_ms": earlier.created_at_ms, "day": earlier.day, "answer": answer} | waits


def _refuse_unsent(reason: BreakwaterError) -> Decide:
    """The same for one that nobody will ever send: not one that waits, or that a worker has taken out of the queue."""

    def decide(prediction: Prediction, now_ms: int) -> Change | None:
        nobody_sends_it = prediction.state is State.SUBMITTING and not prediction.submitted_at_ms
        return never_started(prediction, f"not started: {reason}", now_ms) if nobody_sends_it else None

    return decide


def _refuse(refusal: BreakwaterError) -> Decide:
    """The change after a refusal that came too late to be answered with."""
    return lambda prediction, now_ms: never_started(prediction, f"not started: {refusal}", now_ms)
