"""The connections to WaveSpeed, over aiohttp: one request, one answer, bounded in size.

Nothing else in the project knows which HTTP client calls WaveSpeed. Connections are kept only briefly, so that a
submission never goes out on one the upstream has just closed.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from service.trust import system_trust

MAX_ANSWER_BYTES: Final = 1_048_576
"""Longest answer read; a larger one is no verdict."""

_KEEP_ALIVE_S: Final = 4.0
_CONNECTIONS: Final = 512


class NeverConnected(Exception):
    """No connection was made (refused, DNS, TLS, too slow), so not one byte of the request left this host."""


class Request(NamedTuple):
    """What is sent. A body that comes in pieces is passed on as it comes."""

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | AsyncIterator[bytes] | None = None

    def __repr__(self) -> str:  # the headers hold our key
        return f"Request({self.method})"


class Answer(NamedTuple):
    """What came back; `retry_after` is that header's text, "" without one. A body that is too long comes back empty."""

    status: int
    body: bytes
    retry_after: str


class Connections:
    """Made by `open_connections`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def exchange(self, request: Request) -> Answer:
        """Send one request and read its answer; a canceled exchange ends at once, and its connection with it.

        Raises `NeverConnected`, or anything else when it broke after that.
        """
        try:
            response = await self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failure:
            # Only these say that there was no connection; one that was closed or reset has names of its own.
            raise NeverConnected from failure
        try:
            body = await _read(response.content)
        finally:
            response.close()  # what is read to its end has gone back to be used again
        return Answer(response.status, body, response.headers.get("retry-after", ""))


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Read a body, as far as it is worth reading."""
    first = await content.readany()
    if content.at_eof():  # most answers come in one piece
        return first if len(first) <= MAX_ANSWER_BYTES else b""
    body = bytearray(first)
    while not content.at_eof():
        body += await content.readany()
        if len(body) > MAX_ANSWER_BYTES:
            return b""
    return bytes(body)


@asynccontextmanager
async def open_connections(connect_s: float) -> AsyncIterator[Connections]:
    """Open them: no proxies, no cookies, no redirects, no environment, no headers but those that are given.

    `connect_s` bounds the wait for a connection, that for a free place among them and the TLS handshake included.
    """
    connector = aiohttp.TCPConnector(ssl=system_trust(), limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("accept", "accept-encoding", "user-agent"),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
    ) as session:
        yield Connections(session)
