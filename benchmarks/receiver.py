"""A receiver that costs next to nothing: answers every callback 204 at once, and notes how late each came.

`python -m benchmarks.receiver PORT [OUTPUT]` runs it. With OUTPUT it writes the lag of each callback there, in ms and
one a line: from the event's own `timestamp` to its arrival. A path that begins with `/hang` is never answered.
"""

import asyncio
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO, cast

import uvloop

_ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_TIMESTAMP: Final = b'"timestamp":"'


class Receiver(asyncio.Protocol):
    """One connection."""

    lags: TextIO | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.pending += data
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            head = self.pending[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at:].partition(b"\r\n")[0])
            if len(self.pending) < end + 4 + length:
                return
            body, self.pending = self.pending[end + 4 : end + 4 + length], self.pending[end + 4 + length :]
            if head.startswith(b"post /hang"):
                continue
            if self.lags is not None:
                told = body.partition(_TIMESTAMP)[2].partition(b'"')[0].decode()
                self.lags.write(f"{(time.time() - datetime.fromisoformat(told).timestamp()) * 1000:.1f}\n")
            self.transport.write(_ANSWER)


async def main(port: int, output: str) -> None:
    """Serve until killed."""
    if output:
        Receiver.lags = Path(output).open("w", buffering=1)  # noqa: ASYNC230, SIM115 a line at a time, until killed
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port, backlog=1_000)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
