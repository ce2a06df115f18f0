"""Run an ASGI application on uvicorn until the process is told to stop."""

import asyncio
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.domain.errors import BreakwaterError

ABORT: Final = "breakwater.abort"
"""Where a request's scope has what ends its connection at once, with whatever still waits to be sent."""


_HELD_BYTES: Final = 16_384
"""What one turn writes waits for its end up to this size; more is sent at once."""

OPEN_FILES: Final = 65_536
"""As many files as one process ever has open: a connection is one, and so is a stream that waits."""


class PortBusy(BreakwaterError):
    """The address cannot be listened on; the text is one line that names it."""


def bind(host: str, port: int, variables: str = "") -> socket.socket:
    """Open the listening socket before anything else starts. Raises `PortBusy`, naming the variables that decide."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        named = f"{variables}: " if variables else ""
        raise PortBusy(f"{named}cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}") from None


def allow_open_files() -> None:
    """Raise this process's own limit of open files as far as it may: many systems start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _OneWrite:
    """A connection whose writes of one turn of the event loop leave together: head and body of an answer, mostly.

    Each write is a call of the operating system, the dearest part of a short answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        # What uvicorn asks for besides goes to the connection itself.
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def write(self, data: bytes) -> None:
        """Send with what else this turn writes; much at once, so that the client's pace is felt."""
        held = self._held
        held.append(data)
        self._size += len(data)
        if self._size > _HELD_BYTES:
            self.flush()
        elif len(held) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._size = 0
            if not self._transport.is_closing():  # else the client has gone within this turn
                self._transport.write(data)

    def close(self) -> None:
        """Close once all is sent."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """End it at once, with whatever still waits to be sent."""
        self._held.clear()
        self._transport.abort()


class _Protocol(HttpToolsProtocol):
    """uvicorn's own, that writes an answer at once, and lets one be cut off: closing waits for a client that may never
    read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Put our own way of writing between uvicorn and the connection."""
        self._writes = _OneWrite(transport, self.loop)
        super().connection_made(self._writes)  # type: ignore[arg-type] # all that uvicorn uses of one

    def eof_received(self) -> None:
        """Send what is held to a client that says no more but may still read: the connection is closed after this."""
        self._writes.flush()

    def on_message_begin(self) -> None:
        """Put what aborts the connection into the scope of the request that begins."""
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key] # under our own name

    def make_last(self) -> None:
        """Have the answer that is on its way, if it has not begun, be the last of this connection, and say so."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False


class Server(uvicorn.Server):
    """uvicorn that takes its leave: it goes on answering for a grace, in which load balancers can take it out.

    Without its own signal handling, which ends the process before it has tidied up. `on_end` is called when the grace
    is over: what would never end by itself has to then.
    """

    def __init__(
        self, app: ASGIApp, drain_s: float, grace_s: float = 0.0, on_end: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                http=_Protocol,
                loop="uvloop",
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",  # an upgrade would ask for what `_OneWrite` does not have
                proxy_headers=False,  # nothing here looks at the peer's address
                timeout_graceful_shutdown=max(1, round(drain_s)),
            )
        )
        self.draining = False
        self._app = app
        self._drain_s = drain_s
        self._grace_s = grace_s
        self._on_end = on_end
        self._stopped_at: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the process."""
        yield

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an answer given while draining is the last of its connection."""
        if self.draining:
            # uvicorn closes idle connections when the grace is over: a client told beforehand is not writing to one.
            await self._app(scope, receive, _last(send))
        else:
            await self._app(scope, receive, send)

    def stop(self) -> None:
        """Be `draining` for the grace; then accept nothing more, finish what is in flight, return from `serve`.

        Called once more, it ends the grace at once.
        """
        if self.draining or not self._grace_s:
            self._end_grace()
        else:
            asyncio.get_running_loop().call_later(self._grace_s, self._end_grace)
        if not self.draining:
            self.draining = True
            for connection in self.server_state.connections:
                if isinstance(connection, _Protocol):
                    connection.make_last()

    def _end_grace(self) -> None:
        """Tell uvicorn to stop; the drain's bound counts from here."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self.should_exit = True
        self._on_end()

    @property
    def drain_left_s(self) -> float:
        """What is left of the drain's bound, in seconds: all of it until the grace is over."""
        return max(0.0, self._drain_s - (time.monotonic() - self._stopped_at)) if self._stopped_at else self._drain_s


def _last(send: Send) -> Send:
    """A way to send the last answer of a connection, which says so."""

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_last


@contextmanager
def stop_event(on_set: Callable[[], None] = lambda: None) -> Iterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets, for the time of the block; `on_set` is called for each of them."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        event.set()
        on_set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield event
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
