"""`/api/v3/predictions`: a tenant's own predictions, listed and deleted in WaveSpeed's form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, StringConstraints, TypeAdapter
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import Conflict, FieldError, InvalidInput, NotFound
from service.domain.predictions import Prediction, State
from service.domain.representations import wavespeed_prediction
from service.domain.tenants import Tenant
from service.domain.whole_numbers import WHOLE
from service.http.access_log import note
from service.http.bodies import as_model, read_json_object_or_nothing
from service.http.wavespeed.envelope import success
from service.stores.prediction_list import MAX_LOOKED_AT, PredictionList, Wanted
from service.usecases.delete import Delete

MAX_PAGE: Final = 10_000
MAX_PAGE_SIZE: Final = 100
MAX_IDS: Final = 100
"""Most predictions one request deletes."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
"""How a time begins."""

_STATES: Final[Mapping[str, frozenset[State]]] = {
    "created": frozenset({State.QUEUED, State.SUBMITTING, State.UNCONFIRMED, State.CREATED}),
    "processing": frozenset({State.PROCESSING}),
    "completed": frozenset({State.COMPLETED}),
    "failed": frozenset({State.FAILED, State.CANCELED, State.EXPIRED}),
}
"""What WaveSpeed's words mean here."""

Status = Literal["created", "processing", "completed", "failed", "cancelled", "timeout", "deleted"]
"""The words WaveSpeed knows; of the last three nothing here has any."""


def _written(value: Any) -> Any:
    """Read a time in text; of a number nobody could tell whether it is seconds or milliseconds."""
    if value is None:
        return None
    if isinstance(value, str) and _DATE.match(value):
        return _TIME.validate_python(value)
    raise ValueError("must be a time like 2026-01-31T12:00:00Z")


_TIME: Final = TypeAdapter(AwareDatetime)

Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A time in RFC 3339, with its zone."""


class ListQuery(BaseModel):
    """What a list is to show; newest first. Fields that are not known are ignored, as WaveSpeed does."""

    page: Annotated[int, Field(ge=1, le=MAX_PAGE), WHOLE] = Field(1, description="Which page, from 1.")
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), WHOLE] = Field(20, description="Predictions on a page.")
    model: str | None = Field(None, max_length=200, description="Only of this model.")
    status: Status | None = Field(None, description="Only with this status.")
    created_after: Moment | None = Field(None, description="Only made at or after this time (RFC 3339).")
    created_before: Moment | None = Field(None, description="Only made at or before this time (RFC 3339).")
    include_inputs: bool = Field(False, description="Whether each shows its `input`.")

    def wanted(self) -> Wanted | None:
        """The same in our words; None when nothing can fit."""
        states = _STATES.get(self.status, frozenset()) if self.status else frozenset()
        if self.status and not states:
            return None
        since_ms = int(self.created_after.timestamp() * 1000) if self.created_after else 0
        until_ms = int(self.created_before.timestamp() * 1000) if self.created_before else None
        return Wanted(since_ms, until_ms, states, self.model or "")


class DeleteBody(BaseModel):
    """Which predictions to delete."""

    ids: list[Annotated[str, StringConstraints(max_length=200)]] = Field(min_length=1, max_length=MAX_IDS)


@dataclass(frozen=True, slots=True)
class HistoryHandlers:
    """List and delete."""

    listed: PredictionList
    delete_prediction: Delete
    base_url: str
    max_body_bytes: int

    async def list(self, request: Request, tenant: Tenant) -> Response:
        """Answer a page. `total` counts what lies in the span of time, and is left out where more is asked for."""
        if request.method == "POST":
            asked = await read_json_object_or_nothing(request, self.max_body_bytes)
            query = as_model(asked, ListQuery, strict=True)
        else:
            query = as_model(dict(request.query_params), ListQuery)
        wanted = query.wanted()
        if wanted is None:
            return success({"page": query.page, "total": 0, "items": []})
        skip = (query.page - 1) * query.page_size
        page = await self.listed.page(tenant.id, wanted, query.page_size, skip=skip)
        if not page.complete:
            told = f"more than {MAX_LOOKED_AT} predictions to look through; narrow created_after and created_before"
            raise InvalidInput([FieldError("created_after", told)])
        total = {} if wanted.filters else {"total": await self.listed.count(tenant.id, wanted)}
        items = [self._item(prediction, query.include_inputs) for prediction in page.predictions]
        return success({"page": query.page, **total, "items": items})

    def _item(self, prediction: Prediction, include_inputs: bool) -> dict[str, Any]:
        """One prediction of the list."""
        item = wavespeed_prediction(prediction, self.base_url)
        if include_inputs:
            item["input"] = from_json(prediction.input) if prediction.input else None
        return item

    async def delete(self, request: Request, tenant: Tenant) -> Response:
        """Delete one; 404 for an id that is unknown, deleted before or another tenant's."""
        deleted = await self.delete_prediction(request.path_params["id"], tenant.id)
        note(request.scope, prediction=deleted.id)
        return success({"id": deleted.id, "status": "deleted"})

    async def delete_many(self, request: Request, tenant: Tenant) -> Response:
        """Delete several; those that are not there, or are just being changed, are not counted."""
        body = as_model(await read_json_object_or_nothing(request, self.max_body_bytes), DeleteBody)
        count = 0
        for prediction_id in dict.fromkeys(body.ids):
            try:
                await self.delete_prediction(prediction_id, tenant.id)
            except (NotFound, Conflict):
                continue
            count += 1
        return success({"deleted_count": count})
