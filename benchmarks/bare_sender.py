"""The floor of delivering: the same signature and the same transport, in a loop that does nothing else.

`python -m benchmarks.bare_sender RECEIVER_PORT SECONDS OUTPUT` writes how many messages it sent, in how long, and the
CPU time they took.
"""

import asyncio
import sys
import time
from pathlib import Path

import aiohttp
import httpx2
import uvloop
from httpx_aiohttp.httpx2.transport import AiohttpTransport

from service.domain.webhook_signature import new_secret, standard_headers

CONCURRENT = 256
BODY = b'{"type":"prediction.completed","timestamp":"2026-01-01T00:00:00.000Z","data":{"id":"%b","filler":"%b"}}' % (
    b"0" * 32,
    b"x" * 560,
)


async def main(port: int, seconds: float) -> str:
    """Send for `seconds`, `CONCURRENT` at a time; return the figures."""
    transport = AiohttpTransport(client=lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
    deadline, secret, done = time.monotonic() + seconds, new_secret(), 0

    async def send() -> None:
        nonlocal done
        while time.monotonic() < deadline:
            headers = standard_headers((secret,), "evt_" + "0" * 32 + "_2", int(time.time()), BODY)
            request = httpx2.Request(
                "POST",
                f"http://127.0.0.1:{port}/hook",
                content=BODY,
                headers={**headers, "content-type": "application/json"},
            )
            response = await transport.handle_async_request(request)
            await response.aread()
            await response.aclose()
            done += 1

    started, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(send() for _ in range(CONCURRENT)))
    figures = f"{done} {time.monotonic() - started} {time.process_time() - cpu}"
    await transport.aclose()
    return figures


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]))))
