"""Bare Starlette applications, as one would write them with nothing else in mind.

`starlette` is a route that answers a constant; `httpx2` and `aiohttp` are routes that pass a submission on with that
client and do nothing else: no keys, no records, no quotas, no retries. `streams` holds streams and requests on which
nothing ever happens, and says how many under `/metrics`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from service.http.native.event_stream import HEARTBEAT_S

_RESULT = (
    b'{"code":200,"message":"success","data":{"id":"00000000000000000000000000000000","model":"openai/sora-2",'
    b'"outputs":[],"status":"processing","error":"","executionTime":0,"has_nsfw_contents":[],"timings":{"inference":0},'
    b'"created_at":"2026-01-01T00:00:00Z","urls":{"get":"http://127.0.0.1/api/v3/predictions/0/result"}}}'
)


def starlette() -> Starlette:
    """A route that answers a result-sized constant."""

    async def result(_request: Request) -> Response:
        return Response(_RESULT, media_type="application/json")

    return Starlette(routes=[Route("/api/v3/predictions/{id}/result", result)])


def httpx2_proxy(upstream_port: int) -> Starlette:
    """A route that passes the body on with httpx2 over the aiohttp transport."""
    client = Httpx2AiohttpClient(trust_env=False)

    async def submit(request: Request) -> Response:
        answer = await client.post(
            f"http://127.0.0.1:{upstream_port}{request.url.path}",
            content=await request.body(),
            headers={"authorization": "Bearer secret", "content-type": "application/json"},
        )
        return Response(answer.content, answer.status_code, media_type="application/json")

    return _proxy(submit, client.aclose)


def aiohttp_proxy(upstream_port: int) -> Starlette:
    """A route that passes the body on with aiohttp, and nothing over it."""
    session: aiohttp.ClientSession | None = None

    async def submit(request: Request) -> Response:
        nonlocal session
        if session is None:  # it wants a running loop
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with session.post(
            f"http://127.0.0.1:{upstream_port}{request.url.path}",
            data=await request.body(),
            headers={"authorization": "Bearer secret", "content-type": "application/json"},
        ) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    async def close() -> None:
        if session is not None:
            await session.close()

    return _proxy(submit, close)


def _proxy(submit: Callable[[Request], Awaitable[Response]], close: Callable[[], Awaitable[None]]) -> Starlette:
    """An application of this one route."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await close()

    return Starlette(routes=[Route("/api/v3/{model:path}", submit, methods=["POST"])], lifespan=lifespan)


def streams() -> Starlette:
    """A route that streams a comment now and then, and one that answers when asked to: never."""
    opened = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal opened
        opened += 1
        try:
            yield b"retry: 2000\n\n"
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                yield b":\n\n"
        finally:
            opened -= 1

    async def events(_request: Request) -> Response:
        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def prediction(_request: Request) -> Response:
        nonlocal opened
        opened += 1
        await asyncio.Event().wait()
        return Response()

    async def metrics(_request: Request) -> Response:
        return Response(f"breakwater_streams_open {opened}\n")

    one = "/v1/predictions/{id}"
    return Starlette(routes=[Route(f"{one}/events", events), Route(one, prediction), Route("/metrics", metrics)])


def build(name: str, upstream_port: int) -> Starlette:
    """The application of this name. Raises `KeyError`."""
    return {
        "starlette": starlette,
        "httpx2": lambda: httpx2_proxy(upstream_port),
        "aiohttp": lambda: aiohttp_proxy(upstream_port),
        "streams": streams,
    }[name]()
