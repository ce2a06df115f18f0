"""`/v1/events`: what happened to a tenant's predictions and endpoints, in order, for whoever missed a callback."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.endpoints import MESSAGE_TYPES
from service.domain.errors import FieldError, InvalidInput
from service.domain.tenants import Tenant
from service.http.queries import whole_number
from service.stores.event_log import EventLog

PAGE = 50
MAX_PAGE = 200
"""Events on a page, unless asked otherwise, and at most."""


class EventShown(BaseModel):
    """One event, as its callbacks carry it."""

    id: str = Field(description="The `webhook-id` of its callbacks.")
    cursor: str = Field(description="Its place in the log.")
    type: str
    timestamp: str
    data: dict[str, Any] = Field(description="The prediction, with the event's `sequence`; or what it is about.")


class EventList(BaseModel):
    """Events in the order they happened."""

    data: list[EventShown]
    next_cursor: str | None = Field(description="`after` of the next page, also when there is nothing new yet.")
    has_more: bool = Field(description="Whether there is more right now.")
    gap: bool = Field(description="Whether events right after `after` are no longer kept.")


@dataclass(frozen=True, slots=True)
class EventsHandler:
    """Read the log."""

    events: EventLog

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer a page of what happened after `?after=`, of the given `types`, separated by commas."""
        given = request.query_params.get("types")
        types = frozenset() if given is None else frozenset(given.split(","))
        unknown = sorted(types - set(MESSAGE_TYPES))
        if unknown:
            known = ", ".join(MESSAGE_TYPES)
            raise InvalidInput([FieldError("types", f"unknown event type {unknown[0][:60]!r}; known: {known}")])
        limit = whole_number(request, "limit", PAGE, MAX_PAGE)
        page = await self.events.page(tenant.id, request.query_params.get("after", ""), limit, types)
        shown = EventList(
            data=[EventShown(id=event.id, cursor=event.cursor, **event.body) for event in page.events],
            next_cursor=page.cursor or None,
            has_more=page.more,
            gap=page.gap,
        )
        return Response(shown.model_dump_json(), media_type="application/json")
