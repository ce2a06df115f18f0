"""Requests at a fixed rate, whatever becomes of those before: what is slow does not slow the asking down.

`python -m benchmarks.open_loop PORT RATE SECONDS` reads a JSON list of requests from standard input, sends them in
turn, and prints the latency of each in ms. It counts from when the request was to be sent, not from when a connection
was free for it: a server that stalls for a second is charged with everybody who would have come in that second.

One thread and `select`, whose timeouts are exact to some 50 µs: an event loop's timers go in steps of a millisecond.
"""

import itertools
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import from_json, to_json

from benchmarks.answers import answer_length, is_good

CONNECTIONS: Final = 64
PATIENCE_S: Final = 10.0
"""How long the last answers are waited for."""


@dataclass(slots=True)
class Timeline:
    """When requests are to be sent: `rate` a second for `seconds` from `start` on, whoever has been answered."""

    start: float
    rate: float
    seconds: float
    sent: int = 0
    waiting: deque[float] = field(default_factory=deque)

    @property
    def total(self) -> int:
        """How many there are."""
        return max(1, round(self.rate * self.seconds))

    @property
    def next_at(self) -> float | None:
        """When the next one falls due, None after the last."""
        return self.start + self.sent / self.rate if self.sent < self.total else None

    def advance(self, now: float) -> None:
        """Have all that are due by now wait for a connection."""
        while (due := self.next_at) is not None and due <= now:
            self.waiting.append(due)
            self.sent += 1

    def take(self) -> float | None:
        """When the one that has waited longest was to be sent; None when none waits."""
        return self.waiting.popleft() if self.waiting else None


@dataclass(slots=True)
class Connection:
    """One connection, and when what it carries was to be sent."""

    socket: socket.socket
    due: float = 0.0
    pending: bytes = b""

    def fileno(self) -> int:
        """For `select`."""
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        """Carry one request."""
        self.due, self.pending = due, b""
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read what has come; whether the answer is complete."""
        data = self.socket.recv(65_536)
        if not data:
            sys.exit("the connection was closed: the figures would mean nothing")
        self.pending += data
        return answer_length(self.pending) > 0


def connect(port: int) -> socket.socket:
    """Open one that sends at once."""
    opened = socket.create_connection(("127.0.0.1", port))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def run(port: int, requests: list[bytes], rate: float, seconds: float, connections: int = CONNECTIONS) -> list[float]:
    """Send them all; the latencies in ms, in the order of the answers."""
    timeline = Timeline(0.0, rate, seconds)
    with ExitStack() as opened:
        idle = [Connection(opened.enter_context(connect(port))) for _ in range(connections)]
        timeline.start = time.perf_counter() + 0.01
        return drain(timeline, idle, itertools.cycle(requests))


def drain(timeline: Timeline, idle: list[Connection], requests: Iterator[bytes]) -> list[float]:
    """Send what falls due, and wait until all is answered."""
    busy: dict[int, Connection] = {}
    over_at = timeline.start + timeline.seconds + PATIENCE_S
    latencies: list[float] = []
    while len(latencies) < timeline.total:
        now = time.perf_counter()
        if now > over_at:
            sys.exit(f"{timeline.total - len(latencies)} of {timeline.total} requests were never answered")
        timeline.advance(now)
        while idle and (due := timeline.take()) is not None:
            one = idle.pop()
            one.send(next(requests), due)
            busy[one.fileno()] = one
        wait_s = (timeline.next_at if timeline.next_at is not None else over_at) - time.perf_counter()
        for one in select.select(list(busy.values()), [], [], max(0.0, wait_s))[0]:
            if not one.receive():
                continue
            latencies.append((time.perf_counter() - one.due) * 1e3)
            if not is_good(one.pending):
                sys.exit(f"not a good answer: {one.pending[:500]!r}")
            idle.append(busy.pop(one.fileno()))
    return latencies


if __name__ == "__main__":
    texts: list[str] = from_json(sys.stdin.buffer.read())
    port, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    print(to_json(run(port, [text.encode() for text in texts], rate, seconds)).decode(), flush=True)
