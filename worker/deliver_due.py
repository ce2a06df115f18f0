"""One attempt at one delivery: prepare, count, send, record."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import random
from typing import Final, Literal

import structlog

from service.domain.callback_address import CallbackPolicy
from service.domain.deliveries import Delivery, DeliveryState
from service.domain.endpoints import DisabledBy, Endpoint
from service.domain.errors import Conflict, NotFound
from service.domain.lanes import DISABLE_AFTER_S, Sign, sign_of
from service.domain.predictions import ENDED, EVENT_OF
from service.domain.timestamps import rfc3339
from service.domain.webhook_retries import SCHEDULE_S, next_attempt_s
from service.domain.webhook_signature import standard_headers, wavespeed_headers
from service.metrics import Metrics
from service.stores.delivery_log import Attempt, DeliveryLog, Unsendable
from service.stores.encryption import Encryption, WrongEncryptionKey
from service.stores.work_schedule import WorkSchedule
from worker.webhook_sender import AttemptResult, WebhookSender

HELD_S: Final = 300.0
"""A delivery whose secret does not decrypt waits this long and is tried again: rotating the secret heals it."""

_ENDS: Final = frozenset(EVENT_OF[state] for state in ENDED)
"""The events that tell of an end: what notify lag is about."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deliver:
    """What the deliver pool does with one leased delivery. Raises `StoreUnavailable`: then the lease lapses.

    `disable` stops an endpoint for good, for a reason.
    """

    deliveries: DeliveryLog
    encryption: Encryption
    callbacks: CallbackPolicy
    sender: WebhookSender
    schedule: WorkSchedule
    disable: Callable[[str, str, DisabledBy], Awaitable[object]]
    metrics: Metrics
    retry_scale: float
    clock: Callable[[], float]

    async def __call__(self, delivery_id: str, token: str) -> bool:
        """Make one attempt and arrange what follows from it; whether its receiver has more that is due."""
        attempt = await self.deliveries.start_attempt(delivery_id, token)
        if attempt is None:
            return False
        if isinstance(attempt, Unsendable):
            return await self._give_up(attempt.delivery, token, attempt.reason)
        delivery, number = attempt.delivery, attempt.number
        if number - delivery.schedule_from > len(SCHEDULE_S):  # workers died over it, again and again
            return await self._give_up(delivery, token, "every attempt was used up")
        try:
            headers = self._sign(attempt)
        except WrongEncryptionKey as wrong:
            await self._hold(delivery, token, wrong)
            return False
        url = attempt.endpoint.url if attempt.endpoint else delivery.url
        policy = self.callbacks.replaced_by(attempt.callback_allow)
        result = await self.sender.send(url, attempt.body, headers, policy)
        return await self._record(delivery, token, number, result)

    async def _hold(self, delivery: Delivery, token: str, wrong: WrongEncryptionKey) -> None:
        """Our own trouble, which costs the receiver no attempt."""
        self.metrics.delivery_attempts.labels("held").inc()
        log.error("delivery held", delivery=delivery.id, tenant=delivery.tenant, reason=str(wrong))
        delay_s = HELD_S * self.retry_scale
        if await self.deliveries.hold(delivery.id, token, delay_s):
            self.schedule.wake("deliver", delay_s)

    def _sign(self, attempt: Attempt) -> dict[str, str]:
        """Sign for this attempt: the id stays the same over attempts, the timestamp does not.

        Raises `WrongEncryptionKey` when the newest secret does not decrypt.
        """
        delivery, now_s = attempt.delivery, int(self.clock())
        if attempt.endpoint:
            secrets = self._decrypted(attempt.endpoint)
            headers = standard_headers(secrets, delivery.message_id, now_s, attempt.body)
        else:
            secret = self.encryption.decrypt(attempt.callback_secret)
            headers = wavespeed_headers(secret, delivery.message_id, now_s, attempt.body)
        if delivery.traceparent:
            headers["traceparent"] = delivery.traceparent
        return headers | {"webhook-attempt": str(attempt.number)}

    def _decrypted(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The secrets that sign now, newest first. An older one that is lost is left out: rotating has healed it."""
        newest, *older = endpoint.signing(int(self.clock() * 1000))
        secrets = [self.encryption.decrypt(newest)]
        for one in older:
            with suppress(WrongEncryptionKey):
                secrets.append(self.encryption.decrypt(one))
        return tuple(secrets)

    async def _record(self, delivery: Delivery, token: str, number: int, result: AttemptResult) -> bool:
        """Write the attempt down, and what follows: done, the next one, or the dead-letter list."""
        delay_s = None
        if result.outcome != "delivered" and not delivery.is_test:
            tried = number - delivery.schedule_from
            delay_s = next_attempt_s(tried, result.outcome, result.retry_after_s, random(), self.retry_scale)  # noqa: S311
        state: DeliveryState = "pending"
        if delay_s is None:
            state = "delivered" if result.outcome == "delivered" else "dead"
        now_s = self.clock()
        attempt = {
            "number": number,
            "at": rfc3339(int(now_s * 1000)),
            "duration_s": round(result.duration_s, 3),
            "outcome": result.outcome,
            "status": result.status,
            "error": result.error,
            "answer": result.answer,
        }
        sign: Sign = "nothing" if delivery.is_test else sign_of(result.outcome, result.status)
        finished = await self.deliveries.finish_attempt(
            delivery, token, state, attempt, delay_s or 0.0, sign, listed=not delivery.is_test
        )
        self._tell(delivery, number, result, state)
        if finished.breaker:
            self._tell_breaker(delivery, finished.breaker)
        if not finished.ours:
            self.metrics.leases_lost.labels("deliver").inc()
        elif state == "pending":
            self.schedule.wake("deliver", delay_s or 0.0)
        if state == "delivered" and delivery.event in _ENDS:  # counts even from a lost lease
            self.metrics.notify_lag.observe(max(0.0, now_s - delivery.created_at_ms / 1000))
        if state == "delivered" or (finished.ours and state == "dead" and not delivery.is_test):
            self.metrics.deliveries_ended.labels(state).inc()
        if delivery.endpoint and not delivery.is_test:
            await self._judge(delivery, result, finished.failing_s)
        return finished.more

    async def _judge(self, delivery: Delivery, result: AttemptResult, failing_s: float) -> None:
        """Disable an endpoint that wants no more, or that has not taken anything for days."""
        by: DisabledBy | None = None
        if result.outcome == "gone":
            by = "gone"
        elif result.outcome != "delivered" and failing_s >= DISABLE_AFTER_S * self.retry_scale:
            by = "failing"
        if by is not None:
            with suppress(NotFound, Conflict):  # deleted, or changed all the time: the next failure asks again
                await self.disable(delivery.tenant, delivery.endpoint, by)

    async def _give_up(self, delivery: Delivery, token: str, reason: str) -> bool:
        """Put a delivery that can never succeed on the dead-letter list."""
        attempt = {
            "number": delivery.attempts,
            "at": rfc3339(int(self.clock() * 1000)),
            "outcome": "gone",
            "error": reason,
        }
        finished = await self.deliveries.finish_attempt(delivery, token, "dead", attempt, listed=not delivery.is_test)
        if not finished.ours:
            self.metrics.leases_lost.labels("deliver").inc()
            return finished.more
        if not delivery.is_test:
            self.metrics.deliveries_ended.labels("dead").inc()
        log.warning("delivery given up", delivery=delivery.id, tenant=delivery.tenant, reason=reason)
        return finished.more

    def _tell(self, delivery: Delivery, number: int, result: AttemptResult, state: DeliveryState) -> None:
        """Count and log one attempt: one line, never the URL, which may carry a token."""
        self.metrics.delivery_attempts.labels(result.outcome).inc()
        log.info(
            "delivery attempt",
            delivery=delivery.id,
            tenant=delivery.tenant,
            prediction=delivery.prediction,
            event_type=delivery.event,
            attempt=number,
            outcome=result.outcome,
            status=result.status,
            duration_ms=round(result.duration_s * 1000),
            state=state,
        )

    def _tell_breaker(self, delivery: Delivery, move: Literal["opened", "closed"]) -> None:
        """Count and log what became of a receiver's breaker."""
        self.metrics.receiver_breakers.labels(move).inc()
        log.warning("receiver's breaker", lane=delivery.lane, tenant=delivery.tenant, move=move)
