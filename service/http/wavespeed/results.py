"""`GET /api/v3/predictions/{id}/result` and the short form: from Redis only, one round trip."""

from dataclasses import dataclass

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from service.domain.json_forms import json_bytes
from service.domain.predictions import State
from service.domain.representations import result_url
from service.domain.tenants import Tenant
from service.http.access_log import note
from service.http.wavespeed.envelope import Encoder
from service.stores.prediction_store import PredictionStore


@dataclass(frozen=True, slots=True)
class ResultHandler:
    """Answer from the stored record; the upstream's hiccups are never seen here."""

    predictions: PredictionStore
    encoder: Encoder
    base_url: str

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer WaveSpeed's envelope, or 404 for an id that is unknown, deleted or another tenant's."""
        prediction_id = request.path_params["id"]
        answer = await self.predictions.read_answer(prediction_id, tenant.id)
        note(request.scope, prediction=prediction_id)
        urls = {"get": result_url(self.base_url, prediction_id)}
        if answer.encoded:
            data = {**from_json(answer.body), "urls": urls}
            if data["status"] == State.COMPLETED:
                return await self.encoder.success(data, tenant.id)
        # The stored answer is a JSON object without `urls`: they are spliced in before its closing brace.
        body = b'{"code":200,"message":"success","data":%b,"urls":%b}}' % (answer.body[:-1], json_bytes(urls))
        return Response(body, media_type="application/json")
