"""How the server takes its leave, over real sockets."""

import asyncio
import resource
import subprocess
import sys
import time
from typing import Final

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.server import OPEN_FILES, Server, bind
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


async def test_a_client_that_says_no_more_is_answered() -> None:
    """One that closes its side at once, as some health checks do, gets its whole answer before the connection ends."""

    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    server = Server(Starlette(routes=[Route("/", answer)]), drain_s=5.0)
    listening = bind("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until(lambda: server.started, what="it listens")
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    writer.write_eof()
    told = await asyncio.wait_for(reader.read(), 10)
    assert told.startswith(b"HTTP/1.1 200 OK\r\n"), told
    assert told.endswith(b"\r\n\r\nok"), told
    writer.close()
    server.stop()
    await asyncio.wait_for(serving, 5)


def test_as_many_connections_as_the_system_allows() -> None:
    """A process that starts with few open files allowed raises that itself, to its hard limit and not beyond reason."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = "import resource; from service.server import allow_open_files as a; a(); print(*resource.getrlimit(7))"
    output = subprocess.run(
        [sys.executable, "-c", code.replace("7", str(resource.RLIMIT_NOFILE))],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)),
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    assert output.split() == [b"%d" % allowed, b"%d" % hard]
