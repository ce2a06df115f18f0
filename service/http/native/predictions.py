"""`/v1/predictions`: submit, read, cancel and delete in the native form."""

from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from service.domain.callback_url import MAX_URL
from service.domain.errors import FieldError, InvalidInput, StoreUnavailable
from service.domain.json_forms import json_bytes
from service.domain.predictions import Prediction, State
from service.domain.representations import native_prediction
from service.domain.tenants import Tenant
from service.http.access_log import note, note_held, request_id
from service.http.bodies import read_model
from service.http.idempotency import accepted_headers, idempotency_key
from service.http.preferences import applied, preferred_wait_s
from service.http.streaming import noticing_hang_up
from service.http.wavespeed.submit import travelling
from service.stores.prediction_store import PredictionStore
from service.usecases.await_end import AwaitEnd
from service.usecases.cancel import Cancel
from service.usecases.delete import Delete
from service.usecases.estimate_start import EstimateStart
from service.usecases.submit import Submission, Submit

MAX_METADATA: Final = 16
"""Most pairs of metadata a prediction may have."""

SWITCHES: Final = frozenset({"enable_sync_mode", "enable_base64_output", "webhook", "webhook_url"})
"""What WaveSpeed would take for more than an input: never sent on, or it would call back whom nobody allowed."""

MetadataName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
MetadataValue = Annotated[str, StringConstraints(max_length=200)]


class NewPrediction(BaseModel):
    """Body of `POST /v1/predictions`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(min_length=1, max_length=200, description="A model of the catalogue.")
    input: dict[str, Any] = Field(description="What the model is given; checked against its schema.")
    webhook: Annotated[str, Field(json_schema_extra={"format": "uri"})] | None = Field(
        None, min_length=1, max_length=MAX_URL, description="A URL that is called back when this prediction ends."
    )
    metadata: dict[MetadataName, MetadataValue] = Field(
        default_factory=dict,
        max_length=MAX_METADATA,
        description="Notes of your own: names of letters, digits, `_`, `.`, `-`, and short texts. They come back in "
        "answers and callbacks, and lists can be asked for them; WaveSpeed never sees them.",
    )


@dataclass(frozen=True, slots=True)
class PredictionHandlers:
    """Submit, read, cancel, delete."""

    submit: Submit
    await_end: AwaitEnd
    cancel_prediction: Cancel
    delete_prediction: Delete
    estimate_start: EstimateStart
    predictions: PredictionStore
    base_url: str
    max_body_bytes: int
    max_wait_s: float

    async def create(self, request: Request, tenant: Tenant) -> Response:
        """Answer 202 with the prediction and where it is read: at once, or when it has ended, if that is preferred."""
        wanted = await read_model(request, NewPrediction, self.max_body_bytes)
        if switches := SWITCHES & wanted.input.keys():
            told = "is a switch of WaveSpeed, and no input; here there are `webhook` and `Prefer: wait=20`"
            raise InvalidInput([FieldError(f"input.{name}", told) for name in sorted(switches)])
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
                metadata=wanted.metadata,
            ),
        )
        note(request.scope, prediction=accepted.prediction.id)
        prediction, granted = await self._waited_for(request, accepted.prediction)
        location = {"location": f"/v1/predictions/{prediction.id}"}
        return await self._answer(prediction, 202, location | accepted_headers(accepted) | granted)

    async def get(self, request: Request, tenant: Tenant) -> Response:
        """Answer the prediction, once it has ended if that is preferred; 404 for an id that is not the tenant's."""
        prediction = await self.predictions.load_for(request.path_params["id"], tenant.id)
        note(request.scope, prediction=prediction.id)
        prediction, granted = await self._waited_for(request, prediction)
        return await self._answer(prediction, 200, granted)

    async def cancel(self, request: Request, tenant: Tenant) -> Response:
        """Answer the canceled prediction; 404 as above, 409 when it has ended otherwise."""
        prediction = await self.cancel_prediction(request.path_params["id"], tenant.id)
        note(request.scope, prediction=prediction.id)
        return await self._answer(prediction, 200, {})

    async def delete(self, request: Request, tenant: Tenant) -> Response:
        """Answer 204 when it is gone for good; 404 as above."""
        prediction = await self.delete_prediction(request.path_params["id"], tenant.id)
        note(request.scope, prediction=prediction.id)
        return Response(status_code=204)

    async def _answer(self, prediction: Prediction, status: int, headers: dict[str, str]) -> Response:
        """A prediction in the native form, with its place if it waits for the account."""
        shown = native_prediction(prediction, self.base_url)
        if prediction.state is State.QUEUED:
            with suppress(StoreUnavailable):  # it was accepted, or read: that is answered whatever else is not known
                place = await self.estimate_start(prediction)
                shown |= {} if place is None else asdict(place)
        return Response(json_bytes(shown), status, headers, "application/json")

    async def _waited_for(self, request: Request, prediction: Prediction) -> tuple[Prediction, dict[str, str]]:
        """The prediction after the wait that its caller prefers, if any, and the header that says so."""
        wait_s = preferred_wait_s(request, self.max_wait_s)
        if not wait_s:
            return prediction, {}
        note_held(request.scope)
        with ExitStack() as stack:
            prediction = await self.await_end(
                prediction,
                wait_s,
                lambda listener: stack.enter_context(noticing_hang_up(request.receive, listener.end)),
            )
        return prediction, applied(wait_s)
