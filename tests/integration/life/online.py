"""The gateway of a life on a real port: what is sent piece by piece, held or hung up on needs a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from starlette.types import ASGIApp

from service.server import Server, bind
from tests.integration.life.life import Life
from tests.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Online:
    """A life, its server, and a client with the tenant's key."""

    life: Life
    server: Server
    port: int
    client: httpx2.AsyncClient

    @property
    def held(self) -> int:
        """Streams and held requests that are open."""
        return len(self.life.resources.feed.places)

    async def raw(self, head: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of one's own, on which a request with the tenant's key was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{head} HTTP/1.1", "host: gateway", f"authorization: Bearer {self.life.gateway.key}"]
        writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)
        return reader, writer


@asynccontextmanager
async def serving(
    app: ASGIApp, on_end: Callable[[], None] = lambda: None, send_buffer: int = 0
) -> AsyncIterator[tuple[Server, int]]:
    """Serve an application on a port of its own; `send_buffer` bytes are what the kernel takes for each connection."""
    server = Server(app, drain_s=1.0, on_end=on_end)
    listening = bind("127.0.0.1", 0)
    if send_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until(lambda: server.started, what="it listens")
    try:
        yield server, listening.getsockname()[1]
    finally:
        server.stop()
        await serving


@asynccontextmanager
async def online(life: Life, app: ASGIApp | None = None, send_buffer: int = 0) -> AsyncIterator[Online]:
    """Serve a life's gateway, or another application for it, for the time of the block."""
    headers = {"authorization": f"Bearer {life.gateway.key}"}
    async with (
        serving(app or life.gateway.app, life.resources.feed.end, send_buffer) as (server, port),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client,
    ):
        yield Online(life, server, port, client)
