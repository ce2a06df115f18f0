"""How the server takes its leave, over real sockets."""

import asyncio
import time
from typing import Final

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.server import Server, bind
from tests.waiting import wait_until

GRACE_S: Final = 0.3


async def test_the_grace_ends_by_itself() -> None:
    """It answers for the grace, no longer and no shorter; the bound on what is in flight counts from its end."""

    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    server = Server(Starlette(routes=[Route("/", answer)]), drain_s=5.0, grace_s=GRACE_S)
    listening = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until(lambda: server.started, what="it listens")
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert "connection" not in (await client.get(url)).headers
        began = time.monotonic()
        server.stop()
        assert server.draining
        assert (await client.get(url)).headers["connection"] == "close"
        assert server.drain_left_s == 5.0
    await asyncio.wait_for(serving, 5)
    assert time.monotonic() - began >= GRACE_S
    assert server.drain_left_s < 5.0
