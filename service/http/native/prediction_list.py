"""`GET /v1/predictions`: a tenant's predictions, newest first, page by page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import FieldError, InvalidInput
from service.domain.json_forms import json_bytes
from service.domain.predictions import State
from service.domain.representations import native_prediction
from service.domain.tenants import Tenant
from service.http.queries import moment_ms, one_of, whole_number
from service.stores.prediction_list import Place, PredictionList, Wanted

PAGE: Final = 50
MAX_PAGE: Final = 200
"""Predictions on a page, unless asked otherwise, and at most."""

METADATA: Final = "metadata."
"""What a query parameter begins with that names a piece of metadata."""

CURSOR: Final = re.compile(r"([0-9]{1,15})-([0-9a-f]{32})")
"""A place in the list: when a prediction was admitted, and its id."""

STATES: Final[Mapping[str, frozenset[State]]] = {
    word: frozenset(state for state in State if state.public == word) for word in dict.fromkeys(s.public for s in State)
}
"""The states behind each word of the native face."""


@dataclass(frozen=True, slots=True)
class PredictionListHandler:
    """Read the list."""

    listed: PredictionList
    base_url: str

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer a page, and the cursor of the next one while there may be more."""
        status = one_of(request, "status", tuple(STATES))
        until_ms = moment_ms(request, "created_before", -1)
        wanted = Wanted(
            moment_ms(request, "created_after", 0),
            None if until_ms < 0 else until_ms,
            STATES[status] if status else frozenset(),
            request.query_params.get("model", ""),
            {
                name.removeprefix(METADATA): value
                for name, value in request.query_params.items()
                if name.startswith(METADATA)
            },
        )
        limit = whole_number(request, "limit", PAGE, MAX_PAGE)
        page = await self.listed.page(tenant.id, wanted, limit, after=_place(request))
        cursor = f"{page.last.admitted_ms}-{page.last.id}" if page.last else None
        shown = [native_prediction(prediction, self.base_url) for prediction in page.predictions]
        return Response(json_bytes({"data": shown, "next_cursor": cursor}), media_type="application/json")


def _place(request: Request) -> Place | None:
    """Where the page begins. Raises `InvalidInput` for a cursor that is none of ours."""
    given = request.query_params.get("cursor", "")
    if not given:
        return None
    match = CURSOR.fullmatch(given)
    if match is None:
        raise InvalidInput([FieldError("cursor", "is not a cursor of this list")])
    return Place(int(match[1]), match[2])
