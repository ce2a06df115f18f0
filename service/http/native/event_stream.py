"""`GET /v1/predictions/{id}/events`: a prediction's events as they happen, as server-sent events (WHATWG HTML, 9.2).

The `id` of each is its sequence. Whoever comes back with it as `Last-Event-ID` misses nothing: the log is read after
listening has begun, and again with all news. The stream ends with the prediction; asked for more after that, 204 tells
an EventSource not to come back.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import FieldError, InvalidInput, NotFound, Overloaded, StoreUnavailable, Unauthenticated
from service.domain.predictions import END_EVENTS
from service.domain.tenants import Tenant
from service.http.access_log import note
from service.http.authentication import bearer_key
from service.http.streaming import WRITE_S, PiecewiseResponse
from service.stores.event_feed import EventFeed, Listener
from service.stores.prediction_store import PredictionStore
from service.usecases.authenticate import Authenticate

HEARTBEAT_S: Final = 15.0
"""After so much silence a comment is sent, so that nothing on the way takes the stream for dead."""

_LOOK_AGAIN_S: Final = 2.0
"""Until the next look when Redis gave no answer."""

_HEARTBEAT: Final = b":\n\n"

_RETRY: Final = b"retry: 2000\n\n"
"""How long an EventSource waits, in ms, before it comes back."""

_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Nothing on the way keeps or gathers what is sent."""


@dataclass(frozen=True, slots=True)
class EventStreamHandler:
    """Stream the log of one prediction. `heartbeat_s`, and the patience with a client that reads slowly, in seconds."""

    authenticate: Authenticate
    feed: EventFeed
    predictions: PredictionStore
    heartbeat_s: float = HEARTBEAT_S
    write_s: float = WRITE_S

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer the stream, 204 when all of it is known already, or 404 as for reading the prediction."""
        after = _last_event_id(request)
        prediction_id = request.path_params["id"]
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(self.feed.listening(prediction_id, tenant.id))
            prediction = await self.predictions.load_for(prediction_id, tenant.id)
            note(request.scope, prediction=prediction_id)
            events = await self.predictions.events(prediction_id)
            if prediction.state.ended and not any(sequence > after for sequence in events):
                return Response(status_code=204)
            return PiecewiseResponse(
                self._pieces(listener, bearer_key(request), prediction_id, events, after),
                headers=_HEADERS,
                media_type="text/event-stream",
                on_gone=listener.end,
                open_until_sent=stack.pop_all(),
                write_s=self.write_s,
            )

    async def _pieces(
        self, listener: Listener, key: str, prediction_id: str, events: Mapping[int, bytes], after: int
    ) -> AsyncGenerator[bytes, None]:
        """What is sent: what happened since, and then what happens, for as long as the caller's key is good."""
        yield _RETRY
        while True:
            ended = any(_type(body) in END_EVENTS for body in events.values())
            for sequence in sorted(events):
                if sequence > after:
                    yield _event(sequence, events[sequence])
                    after = sequence
            if ended or listener.over:
                return
            events = {}  # thousands may wait here: nothing is kept that can be read again
            woken = await listener.wait(self.heartbeat_s)
            if listener.over:
                return
            if not woken:
                yield _HEARTBEAT
            try:
                tenant = await self.authenticate(key)
                if woken:
                    events = await self.predictions.events(prediction_id)
                    if not any(sequence > after for sequence in events):
                        await self.predictions.load_for(prediction_id, tenant.id)
            except (StoreUnavailable, Overloaded):
                if woken:  # there may be news all the same
                    await listener.wait(_LOOK_AGAIN_S)
                    listener.wake()
                    yield _HEARTBEAT
            except (NotFound, Unauthenticated):  # it was deleted, or the key was revoked
                return


def _last_event_id(request: Request) -> int:
    """The sequence the caller knows already, 0 for none. Raises `InvalidInput`."""
    by_header, by_query = request.headers.get("last-event-id", "").strip(), request.query_params.get("after", "")
    for name, given in (("Last-Event-ID", by_header), ("after", by_query)):
        if given and (not given.isascii() or not given.isdigit() or len(given) > 9):
            raise InvalidInput([FieldError(name, "must be the id of an event of this stream: a whole number")])
    return int(by_header or by_query or 0)


def _type(body: bytes) -> str:
    """The type of an event, from its body."""
    return str(from_json(body)["type"])


def _event(sequence: int, body: bytes) -> bytes:
    """One event in the format's own form; JSON has no line breaks of its own."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (sequence, _type(body).encode(), body)
