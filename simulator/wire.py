"""Answers that go wrong on the wire: dropped, cut, held. Needs `DroppableProtocol` under uvicorn."""

import asyncio
from typing import Any, Final

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulator.faults import Fault

MAX_HANG_S: Final = 600.0
"""Longest that a held connection is held, in seconds."""

_TRANSPORT: Final = "simulator.transport"


class DroppableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection itself in reach of a request."""

    def on_message_begin(self) -> None:
        """Put the connection into the scope of the request that begins."""
        super().on_message_begin()
        self.scope[_TRANSPORT] = self.transport  # type: ignore[typeddict-unknown-key] # our own, under our own name


class CutResponse(Response):
    """Announces a whole body, sends half of it and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the half."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
        scope[_TRANSPORT].close()


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An ordinary JSON answer."""
    return Response(to_json(value), status, headers, "application/json")


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in WaveSpeed's envelope."""
    return json_response({"code": status, "message": message}, status, headers)


async def drop(request: Request) -> Response:
    """Reset the connection without an answer."""
    request.scope[_TRANSPORT].abort()
    await _gone(request)
    return Response()


async def _gone(request: Request) -> None:
    """Wait until the client has gone, at most `MAX_HANG_S`."""
    try:
        async with asyncio.timeout(MAX_HANG_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        request.scope[_TRANSPORT].abort()


async def answer(request: Request, fault: Fault | None, healthy: Response) -> Response:
    """The healthy answer, or what the fault makes of it."""
    if fault is None:
        return healthy
    if fault.name == "delay":
        await asyncio.sleep(fault.seconds)
        return healthy
    if fault.name == "hang":
        await _gone(request)
        return Response()
    if fault.name in ("drop", "lost"):
        return await drop(request)
    if fault.name == "cut":
        return CutResponse(healthy.body, healthy.status_code, media_type="application/json")
    if fault.name == "malformed":
        return Response(bytes(healthy.body)[:-3] + b"!!!", healthy.status_code, media_type="application/json")
    if fault.name == "html":
        return Response("<html><body>502 Bad Gateway</body></html>", 502, media_type="text/html")
    if fault.name == "late_status":
        await asyncio.sleep(fault.seconds)
    headers = {"retry-after": f"{fault.retry_after_s:g}"} if fault.status in (429, 503) else {}
    texts = {429: "You have reached your concurrency limit", 404: "prediction not found"}
    return error(fault.status, texts.get(fault.status, f"simulated {fault.status}"), headers)
