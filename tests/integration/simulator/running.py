"""A simulator on a port of its own, in a thread: its own event loop, on a clock that the test moves.

Clients are told not to verify TLS, which nothing here speaks: loading certificates takes longer than a test.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import uvicorn

from service.server import bind
from simulator.app import create_app
from simulator.state import Options
from simulator.wire import DroppableProtocol

KEY: Final = "sim-key"
MODEL: Final = "openai/sora-2"
VIDEO_S: Final = 10.0
"""Longest that a video takes, in seconds of the simulator's clock, is a tenth more."""

START_S: Final = 1_800_000_000.0
"""What the clock says when a test begins."""


@dataclass(slots=True)
class Clock:
    """Unix seconds, standing still until moved."""

    now_s: float = START_S

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


@dataclass(frozen=True, slots=True)
class Running:
    """Where a running simulator is, and its clock."""

    url: str
    clock: Clock = field(default_factory=Clock)

    def client(self, key: str = KEY) -> httpx2.AsyncClient:
        """A client with a key."""
        headers = {"authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=10.0, trust_env=False, verify=False)

    def control(self, method: str, route: str, **json: Any) -> dict[str, Any]:
        """Use a control route, which must answer 200."""
        answer = httpx2.request(method, f"{self.url}/_control/{route}", json=json, trust_env=False, verify=False)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def reset(self) -> None:
        """Begin anew, in its memory and on its clock."""
        self.clock.now_s = START_S
        self.control("POST", "reset")

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        """Arm a fault."""
        self.control("POST", "faults", operation=operation, fault=fault, **more)

    def seen(self) -> dict[str, Any]:
        """What it saw."""
        return self.control("GET", "state")


@contextmanager
def serving(options: Options, clock: Callable[[], float]) -> Iterator[str]:
    """Serve a simulator for the time of the block; its URL."""
    config = uvicorn.Config(
        create_app(options, clock),
        http=DroppableProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with bind("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()  # the socket listens already: what is sent before the server has started waits for it
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def running_simulator(options: Options | None = None) -> Iterator[Running]:
    """Serve a simulator on a clock that stands still until moved."""
    clock = Clock()
    with serving(options or Options(video_s=VIDEO_S), clock) as url:
        yield Running(url, clock)
