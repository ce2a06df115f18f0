"""`GET /v1/predictions/{id}/content/{n}`: an output itself, for services that reach nothing but the gateway."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import Conflict, NotFound
from service.domain.predictions import Prediction
from service.domain.tenants import Tenant
from service.http.access_log import note
from service.http.streaming import PiecewiseResponse
from service.stores.prediction_store import PredictionStore
from service.upstream.outputs import Outputs, output_url

_HEADERS: Final = {
    # What a model made is nobody's page: nothing in it may run as if it were the gateway's.
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cache-control": "private, max-age=3600",
}


@dataclass(frozen=True, slots=True)
class ContentHandler:
    """Pass an output on, piece by piece, or the parts of it that were asked for (RFC 9110, 14)."""

    predictions: PredictionStore
    outputs: Outputs

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer output `n`, counted from 0; 404 where there is none, 409 before the end, 410 when it is gone."""
        prediction = await self.predictions.load_for(request.path_params["id"], tenant.id)
        note(request.scope, prediction=prediction.id)
        url = _address(prediction, request.path_params["n"])
        async with AsyncExitStack() as stack:
            opened = await self.outputs.open(url, tenant.id, stack, request.headers)
            return PiecewiseResponse(
                opened.pieces, opened.status, {**opened.headers, **_HEADERS}, open_until_sent=stack.pop_all()
            )


def _address(prediction: Prediction, number: str) -> str:
    """Where output `number` is. Raises `Conflict` before there are any, `NotFound` where there is none."""
    outputs = prediction.answer.get("outputs", [])
    if not outputs and not prediction.state.ended:
        raise Conflict(f"the prediction has no outputs yet: it is {prediction.state.public}")
    if not number.isascii() or not number.isdigit() or len(number) > 4 or int(number) >= len(outputs):
        raise NotFound(f"the prediction has {len(outputs)} outputs, counted from 0")
    url = output_url(outputs[int(number)])
    if not url:
        raise NotFound("this output is no file; the prediction itself has it")
    return url
