"""One attempt at one delivery: prepare, count, send, record."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import random
from typing import Final

import structlog

from service.domain.callback_address import CallbackPolicy
from service.domain.errors import NotFound
from service.domain.predictions import rfc3339
from service.domain.webhook_retries import SCHEDULE_S, next_attempt_s
from service.domain.webhook_signature import standard_headers, wavespeed_headers
from service.metrics import Metrics
from service.stores.delivery_log import Delivery, DeliveryLog, DeliveryState
from service.stores.encryption import Encryption, WrongEncryptionKey
from service.stores.endpoint_store import EndpointStore
from service.stores.prediction_store import PredictionStore
from service.stores.tenant_store import TenantStore
from service.stores.work_schedule import WorkSchedule
from worker.webhook_sender import AttemptResult, WebhookSender

HELD_S: Final = 300.0
"""A delivery whose secret does not decrypt waits this long and is tried again: rotating the secret heals it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A delivery ready to be signed and sent."""

    delivery: Delivery
    url: str
    body: bytes
    secrets: tuple[str, ...]
    policy: CallbackPolicy


@dataclass(frozen=True, slots=True)
class Deliver:
    """What the deliver pool does with one leased delivery. Raises `StoreUnavailable`: then the lease lapses."""

    deliveries: DeliveryLog
    schedule: WorkSchedule
    endpoints: EndpointStore
    predictions: PredictionStore
    tenants: TenantStore
    encryption: Encryption
    callbacks: CallbackPolicy
    sender: WebhookSender
    metrics: Metrics
    retry_scale: float
    clock: Callable[[], float]

    async def __call__(self, delivery_id: str, token: str) -> None:
        """Make one attempt and arrange what follows from it."""
        delivery = await self.deliveries.load(delivery_id)
        if delivery is None:
            await self.schedule.put_back("deliver", delivery_id, token, None)
            return
        try:
            prepared = await self._prepare(delivery)
        except WrongEncryptionKey as wrong:
            self.metrics.delivery_attempts.labels("held").inc()
            log.error("delivery held", delivery=delivery.id, tenant=delivery.tenant, reason=str(wrong))
            await self.schedule.put_back("deliver", delivery_id, token, HELD_S * self.retry_scale)
            return
        except NotFound as gone:
            await self._give_up(delivery, token, str(gone))
            return
        number = await self.deliveries.start_attempt(delivery_id, token)
        if number > len(SCHEDULE_S):  # workers died over it, again and again
            await self._give_up(delivery, token, "every attempt was used up")
        elif number:
            result = await self.sender.send(prepared.url, prepared.body, self._sign(prepared, number), prepared.policy)
            await self._record(delivery, token, number, result)

    async def _prepare(self, delivery: Delivery) -> Prepared:
        """Find address, body, secrets and policy. Raises `NotFound` when one is gone for good, `WrongEncryptionKey`."""
        tenant = await self.tenants.get(delivery.tenant)
        policy = self.callbacks.replaced_by(tenant.callback_allow)
        if not delivery.endpoint:
            secret = await self.tenants.callback_secret(delivery.tenant)
            return Prepared(delivery, delivery.url, delivery.body, (secret,), policy)
        endpoint, body = await asyncio.gather(
            self.endpoints.get(delivery.tenant, delivery.endpoint),
            self.predictions.event_body(delivery.prediction, delivery.sequence),
        )
        if endpoint is None or body is None:
            raise NotFound("the endpoint was deleted" if endpoint is None else "the event is no longer kept")
        return Prepared(delivery, endpoint.url, body, self._decrypted(endpoint.secrets), policy)

    def _decrypted(self, stored: tuple[str, ...]) -> tuple[str, ...]:
        """The signing secrets, newest first. An older one that is lost is left out: rotating has healed it."""
        secrets = [self.encryption.decrypt(stored[0])]
        for older in stored[1:]:
            with suppress(WrongEncryptionKey):
                secrets.append(self.encryption.decrypt(older))
        return tuple(secrets)

    def _sign(self, prepared: Prepared, number: int) -> dict[str, str]:
        """Sign for this attempt: the id stays the same over attempts, the timestamp does not."""
        delivery = prepared.delivery
        now_s = int(self.clock())
        if delivery.endpoint:
            webhook_id = f"evt_{delivery.prediction}_{delivery.sequence}"
            headers = standard_headers(prepared.secrets, webhook_id, now_s, prepared.body)
        else:
            headers = wavespeed_headers(prepared.secrets[0], delivery.prediction, now_s, prepared.body)
        if delivery.traceparent:
            headers["traceparent"] = delivery.traceparent
        return headers | {"webhook-attempt": str(number)}

    async def _record(self, delivery: Delivery, token: str, number: int, result: AttemptResult) -> None:
        """Write the attempt down, and what follows: done, the next one, or the dead-letter list."""
        delay_s = None
        if result.outcome != "delivered":
            delay_s = next_attempt_s(number, result.outcome, result.retry_after_s, random(), self.retry_scale)  # noqa: S311
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
        ours = await self.deliveries.finish_attempt(delivery.id, token, state, attempt, delay_s or 0.0)
        self._tell(delivery, number, result, state)
        if not ours:
            self.metrics.leases_lost.labels("deliver").inc()
        elif state == "pending":
            self.schedule.wake("deliver", delay_s or 0.0)
        if state == "delivered" and delivery.event != "prediction.processing":  # counts even from a lost lease
            self.metrics.notify_lag.observe(max(0.0, now_s - delivery.created_at_ms / 1000))
        if state == "delivered" or (ours and state == "dead"):
            self.metrics.deliveries_ended.labels(state).inc()

    async def _give_up(self, delivery: Delivery, token: str, reason: str) -> None:
        """Put a delivery that can never succeed on the dead-letter list."""
        attempt = {
            "number": delivery.attempts,
            "at": rfc3339(int(self.clock() * 1000)),
            "outcome": "gone",
            "error": reason,
        }
        if not await self.deliveries.finish_attempt(delivery.id, token, "dead", attempt):
            self.metrics.leases_lost.labels("deliver").inc()
            return
        self.metrics.deliveries_ended.labels("dead").inc()
        log.warning("delivery given up", delivery=delivery.id, tenant=delivery.tenant, reason=reason)

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
