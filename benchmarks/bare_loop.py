"""The floor of polling: the same request, in a loop that does nothing with the answer.

`python -m benchmarks.bare_loop UPSTREAM_PORT SECONDS OUTPUT CLIENT` writes how many looks it made, in how long, and the
CPU time they took. CLIENT is `aiohttp`, as the worker's own, or `httpx2`, over its aiohttp transport.
"""

import sys
from pathlib import Path

import uvloop
from pydantic_core import from_json

from benchmarks.bare_client import CLIENTS, repeat

CONCURRENT = 256
HEADERS = {"authorization": "Bearer secret"}


async def main(port: int, seconds: float, client: str) -> str:
    """Look for `seconds`, `CONCURRENT` at a time; return the figures."""
    url = f"http://127.0.0.1:{port}/api/v3/predictions/x/result"
    async with CLIENTS[client]() as exchange:

        async def look() -> None:
            from_json(await exchange("GET", url, HEADERS, b""))

        return await repeat(look, seconds, CONCURRENT)


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[4])))
