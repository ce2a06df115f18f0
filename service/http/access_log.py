"""Request id, one log line, one metric sample, and an answer whatever happens, per request: plain ASGI, outermost."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from service.http.headers import header
from service.metrics import Metrics
from service.metrics.catalogue import HELD, METHODS, STATUSES, UNMATCHED

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,100}")
"""What a caller's X-Request-Id may be to be echoed; anything else gets an id of ours."""

_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Routes that are counted, but neither logged nor in flight: a probe a second would drown the rest."""

log = structlog.get_logger()


def request_id(scope: MutableMapping[str, Any]) -> str:
    """The id of the request a scope belongs to."""
    return str(scope.get("breakwater.request_id", ""))


def note(scope: MutableMapping[str, Any], **fields: str) -> None:
    """Add fields to the request's one log line: tenant, prediction id; never anything a caller wrote."""
    scope["breakwater.fields"].update(fields)


def note_held(scope: MutableMapping[str, Any]) -> None:
    """The request waits on purpose, because its caller asked for it: no measure of how quickly its route answers."""
    scope["breakwater.held"] = True


AnswerError = Callable[[Request, Exception], Awaitable[Response]]
"""What a request is answered with after an error."""


class AccessLog:
    """Wraps the whole application. What is raised in it is answered with `answer_error`, or goes up without one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, answer_error: AnswerError | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._answer_error = answer_error
        self._in_flight = 0
        metrics.http_in_flight.set_function(lambda: self._in_flight)
        self._series: dict[tuple[str, str, int, bool], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other protocols pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        identity = given.decode() if _REQUEST_ID.fullmatch(given) else uuid7().hex
        scope["breakwater.request_id"] = identity
        scope["breakwater.fields"] = {}
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identity.encode())]
            await send(message)

        counted = scope["path"] not in _QUIET
        self._in_flight += counted
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if status or self._answer_error is None:  # an answer has begun: only its breaking off can tell
                raise
            response = await self._answer_error(Request(scope, receive), error)
            await response(scope, receive, send_with_id)
        finally:
            self._in_flight -= counted
            self._record(scope, status or 500, time.perf_counter() - started, identity)

    def _record(self, scope: Scope, status: int, duration_s: float, identity: str) -> None:
        """Write the line and the sample, labelled with the route's template and never with the path."""
        route = getattr(scope.get("route"), "path", UNMATCHED)
        method = scope["method"] if scope["method"] in METHODS else "other"
        held = "breakwater.held" in scope
        series = self._series.get((route, method, status, held))
        if series is None:
            # Looking children up costs more than counting; routes, methods and statuses are few.
            told = str(status) if status in STATUSES else f"{status // 100}xx"
            requests = self._metrics.http_requests.labels(route, method, told)
            duration = self._metrics.http_duration.labels(HELD if held else route, method)
            series = self._series[route, method, status, held] = requests, duration
        series[0].inc()
        series[1].observe(duration_s)
        if route not in _QUIET:
            log.info(
                "request",
                request_id=identity,
                method=method,
                route=route,
                status=status,
                duration_ms=round(duration_s * 1000, 1),
                **scope["breakwater.fields"],
            )
