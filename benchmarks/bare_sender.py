"""The floor of delivering: the same signature, in a loop that does nothing else.

`python -m benchmarks.bare_sender RECEIVER_PORT SECONDS OUTPUT CLIENT` writes how many messages it sent, in how long,
and the CPU time it used. CLIENT is `aiohttp`, as the worker's own, or `httpx2`, over its aiohttp transport.
"""

import sys
import time
from pathlib import Path

import uvloop

from benchmarks.bare_client import CLIENTS, repeat
from service.domain.webhook_signature import new_secret, standard_headers

CONCURRENT = 256
BODY = b'{"type":"prediction.completed","timestamp":"2026-01-01T00:00:00.000Z","data":{"id":"%b","filler":"%b"}}' % (
    b"0" * 32,
    b"x" * 560,
)


async def main(port: int, seconds: float, client: str) -> str:
    """Send for `seconds`, `CONCURRENT` at a time; return the figures."""
    url, secret = f"http://127.0.0.1:{port}/hook", new_secret()
    async with CLIENTS[client]() as exchange:

        async def send() -> None:
            headers = standard_headers((secret,), "evt_" + "0" * 32 + "_2", int(time.time()), BODY)
            await exchange("POST", url, {**headers, "content-type": "application/json"}, BODY)

        return await repeat(send, seconds, CONCURRENT)


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[4])))
