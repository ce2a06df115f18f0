"""A load generator that can outrun what it measures: ready-made request bytes over keep-alive connections.

`python -m benchmarks.load PORT CONNECTIONS SECONDS` reads one request from standard input, sends it in a closed loop on
every connection, and prints how many were answered and how many of those not with 2xx.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import cast

import uvloop


@dataclass(slots=True)
class Tally:
    """What came back."""

    answered: int = 0
    failed: int = 0


class Connection(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last one is complete."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self.request = request
        self.tally = tally
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count a complete answer and send the next request."""
        self.pending += data
        end = self.pending.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.pending[:end].lower()
        at = head.find(b"content-length:")
        stop = head.find(b"\r\n", at)
        length = int(head[at + 15 : stop if stop >= 0 else len(head)]) if at >= 0 else 0
        if len(self.pending) < end + 4 + length:
            return
        self.tally.answered += 1
        self.tally.failed += not self.pending.startswith(b"HTTP/1.1 2")
        self.pending = self.pending[end + 4 + length :]
        self.transport.write(self.request)


async def main(port: int, connections: int, seconds: float) -> None:
    """Run for `seconds` and print the tally."""
    request = sys.stdin.buffer.read()
    tally = Tally()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(request, tally), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    print(tally.answered, tally.failed, flush=True)
    for transport, _ in opened:
        transport.abort()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
