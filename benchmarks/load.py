"""A load generator that can outrun what it measures: ready-made request bytes over keep-alive connections.

`python -m benchmarks.load PORT CONNECTIONS SECONDS` reads a JSON list of requests from standard input, sends them in
turn in a closed loop on every connection, and prints `[answered, failed]`: how many were answered, and how many of
those not with 2xx.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import uvloop
from pydantic_core import from_json

from benchmarks.answers import answer_length, is_good


@dataclass(slots=True)
class Tally:
    """What came back."""

    answered: int = 0
    failed: int = 0


class Connection(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last one is complete."""

    def __init__(self, requests: Iterator[bytes], tally: Tally) -> None:
        self.requests = requests
        self.tally = tally
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """Count a complete answer and send the next request."""
        self.pending += data
        length = answer_length(self.pending)
        if not length:
            return
        self.tally.answered += 1
        self.tally.failed += not is_good(self.pending)
        self.pending = self.pending[length:]
        self.transport.write(next(self.requests))


async def main(port: int, connections: int, seconds: float) -> None:
    """Run for `seconds` and print the tally."""
    requests = itertools.cycle([one.encode() for one in from_json(sys.stdin.buffer.read())])
    tally = Tally()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(requests, tally), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    print([tally.answered, tally.failed], flush=True)
    for transport, _ in opened:
        transport.abort()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
