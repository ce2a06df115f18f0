"""WHERE A DROP-IN SUBMISSION ENTERS: `POST /api/v3/{model}`."""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.domain.callback_url import MAX_URL, read_url
from service.domain.errors import FieldError, InvalidInput
from service.domain.predictions import Prediction, State
from service.domain.representations import wavespeed_prediction
from service.domain.tenants import Tenant
from service.http.access_log import note, note_held, request_id
from service.http.bodies import read_json_object
from service.http.idempotency import accepted_headers, idempotency_key
from service.http.streaming import noticing_hang_up
from service.http.wavespeed.envelope import Encoder, success
from service.stores.event_feed import Listener
from service.usecases.await_end import AwaitEnd
from service.usecases.submit import Submission, Submit
from service.usecases.take_over import TakeOver

TRAVELLING_HEADERS: Final = {
    name.encode(): name for name in ("x-client-name", "x-client-version", "x-client-os", "traceparent", "tracestate")
}
"""The only request headers that go on to WaveSpeed: who the client is, and the trace."""

_HEADER_VALUE: Final = re.compile(rb"[\x20-\x7e]{1,256}")
"""What the value of a travelling header may be; anything else stays here."""

_SYNC_TIMEOUT: Final = 5004
"""The task code WaveSpeed gives when a synchronous wait ends before the task: clients then read the result later."""

_SYNC_OVER: Final = "Sync mode timed out, the prediction goes on. Read its result later at:"
"""Its text, before the URL. Clients look for the first four words; those that know no code show it as it is.

It must not say "timeout" or "connection": some clients would post again.
"""


@dataclass(frozen=True, slots=True)
class SubmitHandler:
    """Translate a WaveSpeed submission into a `Submission`, and the prediction back."""

    submit: Submit
    await_end: AwaitEnd
    take_over: TakeOver
    encoder: Encoder
    base_url: str
    max_body_bytes: int
    max_wait_s: float

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer 200 with WaveSpeed's envelope, or the error envelope with the matching status.

        In synchronous mode only when the prediction has ended, or when it has been waited for long enough.
        """
        inputs = await read_json_object(request, self.max_body_bytes)
        synchronous = self._take_flag(inputs, "enable_sync_mode")
        encoded = self._take_flag(inputs, "enable_base64_output")
        callback_url = self._take_callback(request, inputs)
        if encoded and callback_url:
            told = "a webhook callback does not carry base64 output; leave one of the two out"
            raise InvalidInput([FieldError("enable_base64_output", told)])
        headers = travelling(request)
        submission = Submission(
            model=request.path_params["model"],
            callback_url=callback_url,
            inputs=inputs,
            headers=headers,
            request_id=request_id(request.scope),
            traceparent=headers.get("traceparent", ""),
            idempotency_key=idempotency_key(request),
            route="wavespeed",
            encoding="base64" if encoded else "",
        )
        prediction = await self.take_over(tenant.id, submission) if synchronous else None
        answered: dict[str, str] = {}
        if prediction is None:
            accepted = await self.submit(tenant, submission)
            prediction, answered = accepted.prediction, accepted_headers(accepted)
        note(request.scope, prediction=prediction.id)
        if not synchronous:
            return success(wavespeed_prediction(prediction, self.base_url), answered)
        note_held(request.scope)
        await self.take_over.hold(tenant.id, submission, self.max_wait_s)
        ended, hung_up = await self._waited_for(request, prediction)
        await self.take_over.release(tenant.id, submission, prediction if hung_up else None)
        data = wavespeed_prediction(ended, self.base_url)
        if not ended.state.ended:
            told = f"{_SYNC_OVER} {data['urls']['get']}"
            return success(data | {"status": "processing", "code": _SYNC_TIMEOUT, "error": told}, answered)
        if encoded and ended.state is State.COMPLETED:
            return await self.encoder.success(data, tenant.id, answered)
        return success(data, answered)

    async def _waited_for(self, request: Request, prediction: Prediction) -> tuple[Prediction, bool]:
        """The prediction at its end, or as it stands when that takes too long; and whether its caller has hung up."""
        hung_up = False

        def watch(listener: Listener) -> None:
            def end() -> None:
                nonlocal hung_up
                hung_up = True
                listener.end()

            stack.enter_context(noticing_hang_up(request.receive, end))

        with ExitStack() as stack:
            ended = await self.await_end(prediction, self.max_wait_s, watch)
        return ended, hung_up

    @staticmethod
    def _take_flag(inputs: dict[str, Any], name: str) -> bool:
        """Take one of WaveSpeed's own switches out of the inputs: it is for us, and never forwarded."""
        value = inputs.pop(name, False)
        if not isinstance(value, bool):
            raise InvalidInput([FieldError(name, "must be true or false")])
        return value

    @staticmethod
    def _take_callback(request: Request, inputs: dict[str, Any]) -> str:
        """The callback of this request: `?webhook=`, or the body's `webhook_url`, which some of WaveSpeed's pages show.

        Both body fields are taken out: they are for us, and never forwarded. One that loses must be a URL all the same.
        """
        given = [("webhook", request.query_params.get("webhook") if request.scope["query_string"] else None)]
        given += [(name, inputs.pop(name, None)) for name in ("webhook_url", "webhook")]
        for name, url in given:
            if url is not None and (not isinstance(url, str) or len(url) > MAX_URL):
                raise InvalidInput([FieldError(name, f"must be a URL of at most {MAX_URL} characters")])
        first, *others = [url for _, url in given if url] or [""]
        for ignored in others:
            read_url(ignored)
        return first


def travelling(request: Request) -> dict[str, str]:
    """The caller's headers that go on to WaveSpeed."""
    first = {
        name: value
        for name, value in reversed(request.scope["headers"])  # of two of a name the first counts
        if name in TRAVELLING_HEADERS
    }
    return {TRAVELLING_HEADERS[name]: value.decode() for name, value in first.items() if _HEADER_VALUE.fullmatch(value)}
