"""What stands before a Redis: TLS, or something that tells another version."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.certificates import self_signed

_VERSION = re.compile(rb"redis_version:\d")


@asynccontextmanager
async def front(redis_url: str, tls: ssl.SSLContext | None = None, major: int | None = None) -> AsyncIterator[int]:
    """Pass everything on to a Redis, from a port of its own; with `major`, the server tells another version."""
    target = urlsplit(redis_url)
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: int | None) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk if told is None else _VERSION.sub(b"redis_version:%d" % told, chunk))
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_redis = await asyncio.open_connection(target.hostname, target.port)
        pumps.add(asyncio.create_task(pump(reader, to_redis[1], None)))
        pumps.add(asyncio.create_task(pump(to_redis[0], writer, major)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


def untrusted(directory: Path) -> ssl.SSLContext:
    """TLS with a certificate for localhost that nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(directory, "localhost"))
    return context
