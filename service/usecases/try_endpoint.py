"""Send an endpoint a test message, by the way every message takes, and tell what happened."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from uuid_utils import uuid7

from service.domain.deliveries import Delivery
from service.domain.errors import NotFound, Overloaded
from service.domain.lanes import trial_lane
from service.domain.representations import endpoint_test_body
from service.stores.delivery_log import DeliveryLog
from service.stores.endpoint_store import EndpointStore
from service.stores.work_schedule import WorkSchedule

WAIT_S: Final = 20.0
"""How long an answer waits for the attempt: longer than an attempt may take."""

_ASK_EVERY_S: Final = 0.05
_MAX_WAITING: Final = 64


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: the delivery, and its attempt once it was made (None: no worker has made it yet)."""

    delivery: Delivery
    attempt: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TryEndpoint:
    """The use case. A test is one attempt, made also while the breaker is open or the endpoint is disabled."""

    endpoints: EndpointStore
    deliveries: DeliveryLog
    schedule: WorkSchedule
    clock: Callable[[], float]
    wait_s: float = WAIT_S
    _waiting: set[str] = field(default_factory=set)

    async def __call__(self, tenant_id: str, endpoint_id: str) -> Trial:
        """Send it, and wait. Raises `NotFound`, `Overloaded` (too many tests wait here) or `StoreUnavailable`."""
        endpoint = await self.endpoints.get(tenant_id, endpoint_id)
        if endpoint is None:
            raise NotFound("endpoint not found")
        if len(self._waiting) >= _MAX_WAITING:
            raise Overloaded("too many tests are under way; try again in a moment")
        message_id = f"evt_{uuid7().hex}"
        now_ms = int(self.clock() * 1000)
        delivery = Delivery(
            id=f"{message_id}-{endpoint_id}",
            tenant=tenant_id,
            event="endpoint.test",
            state="pending",
            attempts=0,
            created_at_ms=now_ms,
            lane=trial_lane(endpoint_id),
            message_id=message_id,
            endpoint=endpoint_id,
            body=endpoint_test_body(endpoint, now_ms),
        )
        self._waiting.add(delivery.id)
        try:
            await self.deliveries.owe(delivery)
            self.schedule.wake("deliver", 0.0)
            return await self._outcome(delivery)
        finally:
            self._waiting.discard(delivery.id)

    async def _outcome(self, delivery: Delivery) -> Trial:
        """Wait until the attempt was made, or for long enough."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.wait_s
        while True:
            attempts = await self.deliveries.attempts(delivery.id)
            if attempts or loop.time() >= give_up:
                return Trial(await self.deliveries.load(delivery.id) or delivery, attempts[-1] if attempts else None)
            await asyncio.sleep(_ASK_EVERY_S)
