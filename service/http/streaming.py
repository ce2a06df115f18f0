"""Answers that take long: held until something happens, or sent piece by piece while they come into being.

A client that hangs up is noticed, and one that stops reading is cut off: neither may keep anything open here.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.server import ABORT

WRITE_S: Final = 30.0
"""How long a client may take to make room for the next piece; the server buffers some 64 kB before that counts."""

log = structlog.get_logger()


@contextmanager
def noticing_hang_up(receive: Receive, on_gone: Callable[[], None]) -> Iterator[None]:
    """Call `on_gone` when the client hangs up within the block. The request's body must have been read before."""
    watching = asyncio.create_task(_watch(receive, on_gone))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(receive: Receive, on_gone: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    on_gone()


class PiecewiseResponse(Response):
    """Sends what a generator yields, and closes it when the client has gone or reads no more.

    `on_gone` is called when the client hangs up, for a generator that waits. One that raises breaks the answer off: the
    client sees that it is not whole. `open_until_sent` is what the pieces come from, closed when all is over.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        on_gone: Callable[[], None] = lambda: None,
        open_until_sent: AsyncExitStack | None = None,
        write_s: float = WRITE_S,
    ) -> None:
        self.status_code = status
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)
        self._pieces = pieces
        self._on_gone = on_gone
        self._open = open_until_sent or AsyncExitStack()
        self._write_s = write_s
        self._gone = False

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Without a length, unless the headers give one: nobody knows it yet."""
        self.body = b""
        super().init_headers(headers)
        if "content-length" not in (headers or {}):
            self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]

    def _left(self) -> None:
        self._gone = True
        self._on_gone()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces as they come."""
        async with self._open, aclosing(self._pieces):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            with noticing_hang_up(receive, self._left):
                if not await self._send_all(send):
                    await _cut(scope, receive)

    async def _send_all(self, send: Send) -> bool:
        """Send every piece; False when the answer has to be broken off."""
        try:
            async for piece in self._pieces:
                if self._gone:
                    return True
                async with asyncio.timeout(self._write_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            async with asyncio.timeout(self._write_s):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("a client that reads no more was cut off")
            return False
        except Exception as broken:  # too late for an error answer: only an end that is no end can tell
            log.warning("an answer was broken off", reason=type(broken).__name__)
            return False
        return True


async def _cut(scope: Scope, receive: Receive) -> None:
    """End the connection at once, with whatever still waits to be read."""
    abort = scope.get(ABORT)
    if abort is not None:
        abort()
        while (await receive())["type"] != "http.disconnect":
            pass
