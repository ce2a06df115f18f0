"""The HTTP clients that bare loops use, with nothing around them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import aiohttp
import httpx2
from httpx_aiohttp.httpx2.transport import AiohttpTransport

Exchange = Callable[[str, str, Mapping[str, str], bytes], Awaitable[bytes]]
"""Method, URL, headers and body to the answer's body."""


@asynccontextmanager
async def _aiohttp() -> AsyncIterator[Exchange]:
    """Aiohttp's own session, as calls to WaveSpeed and callbacks are made."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:

        async def exchange(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
            async with session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False
            ) as response:
                return await response.read()

        yield exchange


@asynccontextmanager
async def _httpx2() -> AsyncIterator[Exchange]:
    """httpx2's requests and answers over its aiohttp transport, without a client around it."""
    transport = AiohttpTransport(client=lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

    async def exchange(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        request = httpx2.Request(method, url, content=body or None, headers=dict(headers))
        response = await transport.handle_async_request(request)
        answer = await response.aread()
        await response.aclose()
        return answer

    try:
        yield exchange
    finally:
        await transport.aclose()


CLIENTS: Final[Mapping[str, Callable[[], AbstractAsyncContextManager[Exchange]]]] = {
    "aiohttp": _aiohttp,
    "httpx2": _httpx2,
}


async def repeat(step: Callable[[], Awaitable[None]], seconds: float, at_once: int) -> str:
    """Do it for so long, so many at a time: how often, in how many seconds, with how much CPU time."""
    deadline, done = time.monotonic() + seconds, 0

    async def one() -> None:
        nonlocal done
        while time.monotonic() < deadline:
            await step()
            done += 1

    started, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one() for _ in range(at_once)))
    return f"{done} {time.monotonic() - started} {time.process_time() - cpu}"
