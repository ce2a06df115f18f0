"""What we compare ourselves with: `python -m benchmarks.contestants NAME PORT UPSTREAM_PORT`.

`starlette` is a bare route that answers a constant; `proxy` is a bare Starlette route that passes a submission on with
httpx2 over the aiohttp transport, and does nothing else: no keys, no records, no quotas, no retries. `streams` holds
streams and requests on which nothing ever happens, as Starlette does it, and says how many under `/metrics`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from service.http.native.event_stream import HEARTBEAT_S
from service.server import allow_open_files

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


def proxy(upstream_port: int) -> Starlette:
    """A route that passes the body on, with the secret key."""
    client = Httpx2AiohttpClient(trust_env=False)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    async def submit(request: Request) -> Response:
        answer = await client.post(
            f"http://127.0.0.1:{upstream_port}{request.url.path}",
            content=await request.body(),
            headers={"authorization": "Bearer secret", "content-type": "application/json"},
        )
        return Response(answer.content, answer.status_code, media_type="application/json")

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


if __name__ == "__main__":
    allow_open_files()
    name, port, upstream_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    app = proxy(upstream_port) if name == "proxy" else streams() if name == "streams" else starlette()
    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
