"""`/v1/deliveries`: what was sent to a tenant's addresses, and what came of it."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.deliveries import Delivery
from service.domain.errors import FieldError, InvalidInput, NotFound
from service.domain.tenants import Tenant
from service.domain.timestamps import rfc3339
from service.http.queries import one_of, whole_number
from service.stores import keys
from service.stores.delivery_log import DeliveryLog, Page
from service.usecases.resend import Resend

STATES = ("pending", "delivered", "dead")
PAGE = 50
MAX_PAGE = 200
"""Deliveries on a page, unless asked otherwise, and at most."""


class AttemptShown(BaseModel):
    """One try at a delivery."""

    number: int
    at: str
    duration_s: float | None = None
    outcome: str = Field(
        description="`delivered`, or what failed: `rejected`, `redirected`, `rate_limited`, `gone`, `timeout`, "
        "`connect_failed`, `tls_failed`, `broken`, `denied`."
    )
    status: int | None = Field(None, description="The receiver's HTTP status, if it gave one.")
    error: str = Field("", description="The failure in words.")
    answer: str = Field("", description="The first 16 kB of the receiver's answer.")


class DeliveryShown(BaseModel):
    """One message owed to one address."""

    id: str
    webhook_id: str = Field(description="The message's id, the same in every attempt and after a resend.")
    event_type: str
    endpoint_id: str | None = Field(description="The endpoint; null for a request's own callback.")
    prediction_id: str | None
    sequence: int | None = Field(description="The event's number among those of its prediction.")
    state: Literal["pending", "delivered", "dead"] = Field(description="`dead`: it was given up.")
    attempts: int = Field(description="How many were made.")
    created_at: str
    last_attempt_at: str | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryShown":
        """Show a delivery."""
        return cls(**shown_fields(delivery))


class DeliveryDetails(DeliveryShown):
    """One delivery with every attempt."""

    next_attempt_at: str | None = Field(description="When the next attempt is due, if one is.")
    attempts_made: list[AttemptShown] = Field(description="Every attempt, the first one first; at most the newest 20.")


class DeliveryList(BaseModel):
    """A page of deliveries."""

    data: list[DeliveryShown]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


def shown_fields(delivery: Delivery) -> dict[str, Any]:
    """A delivery's fields as they are shown."""
    return {
        "id": delivery.id,
        "webhook_id": delivery.message_id,
        "event_type": delivery.event,
        "endpoint_id": delivery.endpoint or None,
        "prediction_id": delivery.prediction or None,
        "sequence": delivery.sequence or None,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": rfc3339(delivery.created_at_ms),
        "last_attempt_at": rfc3339(delivery.last_attempt_at_ms) if delivery.last_attempt_at_ms else None,
    }


@dataclass(frozen=True, slots=True)
class DeliveryHandlers:
    """List, show, send again. What is unknown or another tenant's is a 404."""

    deliveries: DeliveryLog
    resend_one: Resend

    async def list(self, request: Request, tenant: Tenant) -> Response:
        """Answer a page, newest first, of what fits `endpoint_id`, `prediction_id` and `state`."""
        state = one_of(request, "state", STATES)
        endpoint_id = request.query_params.get("endpoint_id")
        prediction_id = request.query_params.get("prediction_id")
        limit = whole_number(request, "limit", PAGE, MAX_PAGE)

        def fits(one: Delivery) -> bool:
            return (
                one.tenant == tenant.id
                and (state is None or one.state == state)
                and (endpoint_id is None or one.endpoint == endpoint_id)
                and (prediction_id is None or one.prediction == prediction_id)
            )

        if prediction_id is not None:  # few enough for one page
            page = Page([one for one in await self.deliveries.of_prediction(prediction_id) if fits(one)], None)
        else:
            index = _index(tenant.id, endpoint_id, state)
            try:
                page = await self.deliveries.page(index, limit, request.query_params.get("cursor"), fits)
            except ValueError as wrong:
                raise InvalidInput([FieldError("cursor", str(wrong))]) from None
        shown = DeliveryList(data=[DeliveryShown.of(one) for one in page.deliveries], next_cursor=page.cursor)
        return Response(shown.model_dump_json(), media_type="application/json")

    async def get(self, request: Request, tenant: Tenant) -> Response:
        """Answer one, with its attempts."""
        delivery = await self.deliveries.load(request.path_params["id"])
        if delivery is None or delivery.tenant != tenant.id:
            raise NotFound("delivery not found")
        return await self._shown(delivery)

    async def resend(self, request: Request, tenant: Tenant) -> Response:
        """Answer 202 with the delivery, which is sent again."""
        return await self._shown(await self.resend_one(request.path_params["id"], tenant.id), 202)

    async def _shown(self, delivery: Delivery, status: int = 200) -> Response:
        """One delivery in full."""
        details = await delivery_details(self.deliveries, delivery)
        return Response(details.model_dump_json(), status, media_type="application/json")


async def delivery_details(deliveries: DeliveryLog, delivery: Delivery) -> DeliveryDetails:
    """A delivery with its attempts, and when the next one is due."""
    next_ms = await deliveries.next_attempt_at_ms(delivery)
    return DeliveryDetails(
        **shown_fields(delivery),
        next_attempt_at=rfc3339(next_ms) if next_ms else None,
        attempts_made=[AttemptShown(**attempt) for attempt in await deliveries.attempts(delivery.id)],
    )


def _index(tenant_id: str, endpoint_id: str | None, state: str | None) -> str:
    """The shortest list that holds all that is asked for."""
    if endpoint_id is not None:
        return keys.lane_dead(endpoint_id) if state == "dead" else keys.lane_deliveries(endpoint_id)
    return keys.tenant_dead(tenant_id) if state == "dead" else keys.tenant_deliveries(tenant_id)
