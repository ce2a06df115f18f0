"""WHERE WAVESPEED CALLS BACK: `POST /callbacks/wavespeed/{signed id}`, without a key and behind two signatures."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.domain.callback_ids import CallbackIds
from service.domain.errors import FieldError, InvalidInput, NotFound, Unauthenticated
from service.http.access_log import note
from service.http.bodies import read_body
from service.metrics import Metrics
from service.upstream.key import UpstreamKey
from service.upstream.payloads import callback_task
from service.usecases.receive_callback import ReceiveCallback
from service.usecases.verify_callback import VerifyCallback

MAX_CALLBACK_BYTES: Final = 1_048_576
"""Largest callback accepted, as large as an answer to a look may be."""


@dataclass(frozen=True, slots=True)
class UpstreamCallbackHandler:
    """Check the address first, which costs next to nothing, then the signature of what was sent."""

    ids: CallbackIds
    verify: VerifyCallback
    receive: ReceiveCallback
    key: UpstreamKey
    metrics: Metrics

    async def __call__(self, request: Request) -> Response:
        """Answer 200 to what is WaveSpeed's, whether or not it changes anything; else an error, and nothing is done.

        Whatever is not a 2xx WaveSpeed sends again: 503 while Redis is away, or while its secret is not to be had.
        """
        prediction_id = self.ids.read(request.path_params["signed_id"])
        if prediction_id is None:
            self.metrics.upstream_callbacks.labels("forged").inc()
            raise NotFound("not found")
        note(request.scope, prediction=prediction_id)
        body = await read_body(request, MAX_CALLBACK_BYTES)
        if not await self.verify(request.headers, body):
            self.metrics.upstream_callbacks.labels("forged").inc()
            raise Unauthenticated("the callback is not signed by WaveSpeed, or too old")
        called = callback_task(self.key.taken_out_of(body))
        if called is None:
            self.metrics.upstream_callbacks.labels("unreadable").inc()
            raise InvalidInput([FieldError("", "is not a prediction")])
        await self.receive(prediction_id, called)
        return Response(b'{"received":true}', media_type="application/json")
