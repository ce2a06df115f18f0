"""Callers that wait, by the thousand and for next to nothing: each opens a connection, sends one request and listens.

`python -m benchmarks.listeners PORT WIDTH OUTPUT HEAD` reads ids from standard input, one a line. Each is asked for
with the request HEAD, in which `{}` stands for the id; at most WIDTH are open at a time, the next one opens where one
ended. Into OUTPUT goes a line for each that is open, `open ID`, and for each whose end was told, `end ID UNIX_TIME`.
"""

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final, TextIO, cast

import uvloop

from service.server import allow_open_files

OPENING: Final = 64
"""How many are being opened at a time."""

_END: Final = b"prediction.completed"
_GOOD: Final = b"HTTP/1.1 200 "


class Crowd:
    """All callers of one process."""

    def __init__(self, port: int, width: int, output: TextIO, head: str) -> None:
        self.output = output
        self.streams = b"prefer:" not in head.encode().lower()
        self._port, self._width, self._head = port, width, head
        self._ids: deque[str] = deque()
        self._open = self._opening = 0
        self._tasks: set[asyncio.Task[object]] = set()

    def add(self, prediction_id: str) -> None:
        """One more to listen to."""
        self._ids.append(prediction_id)
        self._go_on()

    def opened(self, prediction_id: str) -> None:
        """It waits: there is room to open another."""
        self.output.write(f"open {prediction_id}\n")
        self._opening -= 1
        self._go_on()

    def left(self) -> None:
        """One has ended."""
        self._open -= 1
        self._go_on()

    def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while self._ids and self._open < self._width and self._opening < OPENING:
            prediction_id = self._ids.popleft()
            request = self._head.replace("{}", prediction_id).encode()
            listener = Listener(self, prediction_id, request)
            task = loop.create_task(loop.create_connection(lambda one=listener: one, "127.0.0.1", self._port))  # type: ignore[misc]
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._open += 1
            self._opening += 1


class Listener(asyncio.Protocol):
    """One caller."""

    __slots__ = ("begun", "crowd", "prediction_id", "request", "transport")

    def __init__(self, crowd: Crowd, prediction_id: str, request: bytes) -> None:
        self.crowd, self.prediction_id, self.request = crowd, prediction_id, request
        self.begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask. What is held sends nothing before its end: it counts as open from here."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)
        if not self.crowd.streams:
            self._begin()

    def _begin(self) -> None:
        self.begun = True
        self.crowd.opened(self.prediction_id)

    def data_received(self, data: bytes) -> None:
        """Note the beginning and the end of what is told."""
        told_at = time.time()
        if not self.begun:
            if not data.startswith(_GOOD):
                sys.exit(f"not a stream: {data!r}")
            self._begin()
        if _END in data:
            self.crowd.output.write(f"end {self.prediction_id} {told_at}\n")
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for the next."""
        self.crowd.left()


async def main(port: int, width: int, output: str, head: str) -> None:
    """Go on until the input ends."""
    allow_open_files()
    loop = asyncio.get_running_loop()
    ids = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ids), sys.stdin)
    with Path(output).open("w", buffering=1) as lines:  # noqa: ASYNC230 a line at a time
        crowd = Crowd(port, width, lines, head)
        while prediction_id := (await ids.readline()).decode().strip():
            crowd.add(prediction_id)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
