"""`GET /api/v3/predictions/{id}/result` and the short form: from Redis only, one round trip."""

import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import NotFound
from service.domain.predictions import json_bytes
from service.domain.representations import result_url
from service.domain.tenants import Tenant
from service.http.access_log import note
from service.stores.prediction_store import PredictionStore

_ID: Final = re.compile(r"[0-9a-f]{32}")
"""What our ids look like."""


def is_prediction_id(text: str) -> bool:
    """Whether a text looks like one of our ids; anything else is unknown without a look."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ResultHandler:
    """Answer from the stored record; the upstream's hiccups are never seen here."""

    predictions: PredictionStore
    base_url: str

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer WaveSpeed's envelope, or 404 for an id that is unknown or another tenant's."""
        prediction_id = request.path_params["id"]
        if not is_prediction_id(prediction_id):
            raise NotFound("prediction not found")
        note(request.scope, prediction=prediction_id)
        answer = await self.predictions.read_answer(prediction_id, tenant.id)
        urls = json_bytes({"get": result_url(self.base_url, prediction_id)})
        # The stored answer is a JSON object without `urls`: they are spliced in before its closing brace.
        body = b'{"code":200,"message":"success","data":%b,"urls":%b}}' % (answer[:-1], urls)
        return Response(body, media_type="application/json")
