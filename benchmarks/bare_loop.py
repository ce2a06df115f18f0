"""The floor of polling: the same transport, the same request, in a loop that does nothing with the answer.

`python -m benchmarks.bare_loop UPSTREAM_PORT SECONDS OUTPUT` writes how many looks it made, in how long, and the CPU
time they took.
"""

import asyncio
import sys
import time
from pathlib import Path

import aiohttp
import httpx2
import uvloop
from httpx_aiohttp.httpx2.transport import AiohttpTransport
from pydantic_core import from_json

CONCURRENT = 256


async def main(port: int, seconds: float) -> str:
    """Look for `seconds`, `CONCURRENT` at a time; return the figures."""
    transport = AiohttpTransport(client=lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512)))
    deadline = time.monotonic() + seconds
    done = 0

    async def look() -> None:
        nonlocal done
        while time.monotonic() < deadline:
            request = httpx2.Request(
                "GET",
                f"http://127.0.0.1:{port}/api/v3/predictions/x/result",
                headers={"authorization": "Bearer secret"},
            )
            response = await transport.handle_async_request(request)
            from_json(await response.aread())
            await response.aclose()
            done += 1

    started, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(look() for _ in range(CONCURRENT)))
    figures = f"{done} {time.monotonic() - started} {time.process_time() - cpu}"
    await transport.aclose()
    return figures


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]))))
