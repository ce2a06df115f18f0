"""A TCP proxy that does to connections what networks do, at a test's command.

::

    async with FaultProxy(redis_url) as proxy:
        client = connect(proxy.url, max_connections=1)
        proxy.blackhole()

A fault concerns the connections that are open and those to come, until `pass_through`.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final, Literal, Self
from urllib.parse import urlsplit

Direction = Literal["to_server", "to_client"]

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class FaultProxy:
    """Stands in front of the server of `url`, on a port of its own on 127.0.0.1."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._swallowing = False
        self._passing_only: dict[Direction, int | None] = {"to_server": None, "to_client": None}
        self.port = 0
        self.latency_s = 0.0
        """How long every chunk is held, in either direction, in seconds."""
        self.accepted = 0
        """Connections accepted so far."""
        self.bytes_seen: dict[Direction, int] = {"to_server": 0, "to_client": 0}
        """Bytes that came in from either side so far, whether or not they were passed on."""

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        await self.cut()

    @property
    def url(self) -> str:
        """The URL of the target with the proxy's address in it."""
        credentials, at, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}").geturl()

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def pass_through(self) -> None:
        """End latency, blackhole and any reset still to come.

        A connection that the blackhole took bytes from passes nothing more: what follows the gap makes no sense.
        """
        self.latency_s = 0.0
        self._swallowing = False
        self._passing_only = {"to_server": None, "to_client": None}

    def blackhole(self) -> None:
        """Accept connections and bytes, and let nothing through in either direction."""
        self._swallowing = True

    def reset_after(self, count: int, direction: Direction) -> None:
        """Once, pass `count` more bytes in one direction, then reset the connection that brought the last of them.

        With 0 the next byte brings the reset and is not passed. What was passed arrives; then the client sees a
        reset and the server an end.
        """
        self._passing_only[direction] = count

    async def listen(self) -> None:
        """Accept connections, after `refuse` again and on the same port."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def cut(self) -> None:
        """Reset every open connection, and return when that is done."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection in a task of its own."""
        connection = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self.accepted += 1
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        connection.add_done_callback(lambda _: writer.close())  # should it be cut before it was served at all

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends or a reset is due; cancelling resets both sides."""
        pumps: list[asyncio.Task[bool]] = []
        writers = [client]
        to_reset = [client]
        try:
            server_reader, server = await asyncio.open_connection(self._target.hostname, self._target.port)
            writers.append(server)
            to_reset.append(server)
            gap = asyncio.Event()
            pumps = [
                asyncio.create_task(self._pump(reader, server, "to_server", gap)),
                asyncio.create_task(self._pump(server_reader, client, "to_client", gap)),
            ]
            ended, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            must_reset = any(pump.result() for pump in ended)
            to_reset = [client] if must_reset else []
        except OSError:  # one side refused, or reset the connection itself: so does the proxy
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            for writer in writers:  # before anything is awaited: this task may be cancelled once more
                if writer in to_reset:
                    reset(writer)
                else:
                    writer.close()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in writers:
                with suppress(OSError):
                    await writer.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction, gap: asyncio.Event
    ) -> bool:
        """Carry one direction to its end; True when the connection is to be reset."""
        writer.transport.set_write_buffer_limits(0)  # so that drain waits until everything has left
        while chunk := await reader.read(65_536):
            self.bytes_seen[direction] += len(chunk)
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if self._swallowing:
                gap.set()
            if gap.is_set():
                continue
            left = self._passing_only[direction]
            if left is not None and len(chunk) >= left:
                self._passing_only[direction] = None
                writer.write(chunk[:left])
                await writer.drain()
                return True
            if left is not None:
                self._passing_only[direction] = left - len(chunk)
            writer.write(chunk)
            await writer.drain()
        return False


def reset(writer: asyncio.StreamWriter) -> None:
    """Close at once with a TCP reset, dropping what was not sent."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
