"""Send again what was sent before, or was given up: the message and its id stay the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.domain.deliveries import Delivery
from service.domain.errors import Conflict, NotFound
from service.stores import keys
from service.stores.delivery_log import DeliveryLog
from service.stores.endpoint_store import EndpointStore
from service.stores.prediction_store import PredictionStore
from service.stores.work_schedule import WorkSchedule

MOST_AT_ONCE: Final = 10_000
"""How many dead letters one call sends again; the next call goes on."""

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Resend:
    """The use cases, for teams and operators. All raise `StoreUnavailable` when Redis is away."""

    deliveries: DeliveryLog
    endpoints: EndpointStore
    predictions: PredictionStore
    schedule: WorkSchedule

    async def __call__(self, delivery_id: str, tenant_id: str | None = None) -> Delivery:
        """Send one again, whatever became of it. Raises `NotFound`, or `Conflict` when it cannot be sent now."""
        delivery = await self.deliveries.load(delivery_id)
        if delivery is None or (tenant_id is not None and delivery.tenant != tenant_id):
            raise NotFound("delivery not found")
        if delivery.event == "endpoint.test":
            raise Conflict("a test is not sent again; make another one")
        if delivery.endpoint:
            endpoint = await self.endpoints.get(delivery.tenant, delivery.endpoint)
            if endpoint is None:
                raise Conflict("its endpoint was deleted")
            if endpoint.state == "disabled":
                raise Conflict("its endpoint is disabled; enable it first")
        if not delivery.body and await self.predictions.event_body(delivery.prediction, delivery.sequence) is None:
            raise Conflict("its event is no longer kept")
        outcome = await self.deliveries.resend(delivery)
        if outcome == "gone":
            raise NotFound("delivery not found")
        if outcome == "busy":
            raise Conflict("an attempt at it is being made just now")
        self.schedule.wake("deliver", 0.0)
        return await self.deliveries.load(delivery_id) or delivery

    async def recover(self, tenant_id: str, endpoint_id: str, since_ms: int) -> int:
        """Send again all that an endpoint's receiver missed since a time; how many that were.

        Raises `NotFound`, or `Conflict` while it is disabled.
        """
        endpoint = await self.endpoints.get(tenant_id, endpoint_id)
        if endpoint is None:
            raise NotFound("endpoint not found")
        if endpoint.state == "disabled":
            raise Conflict("the endpoint is disabled; enable it first")
        return await self._all(keys.lane_dead(endpoint_id), since_ms, lambda _: True)

    async def dead_letters(self, tenant_id: str | None, endpoint_id: str | None, since_ms: int) -> int:
        """Send dead letters again: of everybody, of one tenant, of one endpoint; how many that were."""
        index = keys.DEAD
        if tenant_id is not None:
            index = keys.tenant_dead(tenant_id)
        if endpoint_id is not None:
            index = keys.lane_dead(endpoint_id)
        return await self._all(index, since_ms, lambda one: tenant_id is None or one.tenant == tenant_id)

    async def _all(self, index: str, since_ms: int, wanted: Callable[[Delivery], bool]) -> int:
        """Send again what an index of dead letters holds since a time."""
        resent = passed = 0
        while resent < MOST_AT_ONCE:
            ids = await self.deliveries.dead_since(index, since_ms, passed, _BATCH)
            for delivery_id in ids:
                delivery = await self.deliveries.load(delivery_id)
                sent = delivery is not None and wanted(delivery) and await self._one(delivery)
                resent += sent
                passed += not sent  # it stays in the index
            if len(ids) < _BATCH:
                break
        if resent:
            self.schedule.wake("deliver", 0.0)
        return resent

    async def _one(self, delivery: Delivery) -> bool:
        """Send one dead letter again; whether it was one."""
        return await self.deliveries.resend(delivery, only_dead=True) == "queued"
