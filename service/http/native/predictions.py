"""`/v1/predictions`: submit, read and cancel in the native form."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.callback_url import MAX_URL
from service.domain.errors import NotFound
from service.domain.predictions import json_bytes
from service.domain.representations import native_prediction
from service.domain.tenants import Tenant
from service.http.access_log import note, request_id
from service.http.bodies import read_model
from service.http.idempotency import accepted_headers, idempotency_key
from service.http.wavespeed.results import is_prediction_id
from service.http.wavespeed.submit import travelling
from service.stores.prediction_store import PredictionStore
from service.usecases.cancel import Cancel
from service.usecases.submit import Submission, Submit


class NewPrediction(BaseModel):
    """Body of `POST /v1/predictions`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(min_length=1, max_length=200, description="A model of the catalogue.")
    input: dict[str, Any] = Field(description="What the model is given; checked against its schema.")
    webhook: str | None = Field(
        None, min_length=1, max_length=MAX_URL, description="A URL that is called back when this prediction ends."
    )


@dataclass(frozen=True, slots=True)
class PredictionHandlers:
    """Submit, read, cancel."""

    submit: Submit
    cancel_prediction: Cancel
    predictions: PredictionStore
    base_url: str
    max_body_bytes: int

    async def create(self, request: Request, tenant: Tenant) -> Response:
        """Answer 202 with the prediction and where it is read."""
        wanted = await read_model(request, NewPrediction, self.max_body_bytes)
        headers = travelling(request)
        accepted = await self.submit(
            tenant,
            Submission(
                model=wanted.model,
                inputs=wanted.input,
                callback_url=wanted.webhook or "",
                headers=headers,
                request_id=request_id(request.scope),
                traceparent=headers.get("traceparent", ""),
                idempotency_key=idempotency_key(request),
                route="native",
            ),
        )
        note(request.scope, prediction=accepted.prediction.id)
        body = json_bytes(native_prediction(accepted.prediction, self.base_url))
        location = {"location": f"/v1/predictions/{accepted.prediction.id}"}
        return Response(body, 202, location | accepted_headers(accepted), "application/json")

    async def get(self, request: Request, tenant: Tenant) -> Response:
        """Answer the prediction, or 404 for an id that is unknown or another tenant's."""
        prediction_id = request.path_params["id"]
        prediction = await self.predictions.load(prediction_id) if is_prediction_id(prediction_id) else None
        if prediction is None or prediction.tenant != tenant.id:
            raise NotFound("prediction not found")
        note(request.scope, prediction=prediction.id)
        return Response(json_bytes(native_prediction(prediction, self.base_url)), media_type="application/json")

    async def cancel(self, request: Request, tenant: Tenant) -> Response:
        """Answer the canceled prediction; 404 as above, 409 when it has ended otherwise."""
        prediction_id = request.path_params["id"]
        if not is_prediction_id(prediction_id):
            raise NotFound("prediction not found")
        note(request.scope, prediction=prediction_id)
        prediction = await self.cancel_prediction(prediction_id, tenant.id)
        return Response(json_bytes(native_prediction(prediction, self.base_url)), media_type="application/json")
