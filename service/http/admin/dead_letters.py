"""`/admin/v1/dead-letters`: deliveries that were given up, of every tenant; list them, send them again."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.deliveries import Delivery
from service.domain.errors import FieldError, InvalidInput
from service.http.bodies import read_model
from service.http.native.deliveries import MAX_PAGE, PAGE, DeliveryShown, shown_fields
from service.http.queries import moment_of, whole_number
from service.stores import keys
from service.stores.delivery_log import DeliveryLog
from service.usecases.resend import MOST_AT_ONCE, Resend


class DeadLetter(DeliveryShown):
    """A delivery that was given up."""

    tenant: str


class DeadLetters(BaseModel):
    """A page of them, newest first."""

    data: list[DeadLetter]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last one.")


class WhatToResend(BaseModel):
    """Body of `POST /admin/v1/dead-letters/resend`: which of them; nothing named means all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tenant: str | None = Field(None, min_length=1, max_length=64)
    endpoint_id: str | None = Field(None, min_length=1, max_length=64)
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = Field(
        None, max_length=40, description="Given up at or after this time."
    )


class ResentLetters(BaseModel):
    """How many are sent again; a call sends so many at most, and the next one goes on."""

    resent: int = Field(le=MOST_AT_ONCE)


@dataclass(frozen=True, slots=True)
class DeadLetterHandlers:
    """List, and send again in bulk."""

    deliveries: DeliveryLog
    resend_all: Resend
    max_body_bytes: int

    async def list(self, request: Request) -> Response:
        """Answer a page, of one tenant with `?tenant=`, of one endpoint with `?endpoint_id=`."""
        tenant, endpoint = request.query_params.get("tenant"), request.query_params.get("endpoint_id")
        limit = whole_number(request, "limit", PAGE, MAX_PAGE)
        index = keys.DEAD if tenant is None else keys.tenant_dead(tenant)
        if endpoint is not None:
            index = keys.lane_dead(endpoint)

        def fits(one: Delivery) -> bool:
            return one.state == "dead" and tenant in (None, one.tenant)

        try:
            page = await self.deliveries.page(index, limit, request.query_params.get("cursor"), fits)
        except ValueError as wrong:
            raise InvalidInput([FieldError("cursor", str(wrong))]) from None
        letters = [DeadLetter(tenant=one.tenant, **shown_fields(one)) for one in page.deliveries]
        return Response(DeadLetters(data=letters, next_cursor=page.cursor).model_dump_json(), media_type=_JSON)

    async def resend(self, request: Request) -> Response:
        """Answer how many are sent again."""
        wanted = await read_model(request, WhatToResend, self.max_body_bytes)
        since_ms = 0 if wanted.since is None else moment_of(wanted.since, "since")
        resent = await self.resend_all.dead_letters(wanted.tenant, wanted.endpoint_id, since_ms)
        return Response(ResentLetters(resent=resent).model_dump_json(), media_type=_JSON)


_JSON = "application/json"
