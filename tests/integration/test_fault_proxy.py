"""The proxy does what it says, or the tests that use it prove nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from tests.fault_proxy import FaultProxy
from tests.waiting import wait_until


class Echo:
    """A server that sends back what it gets and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(ConnectionResetError):
            while chunk := await reader.read(1024):
                self.received += chunk
                writer.write(chunk)
        self.ended += 1
        writer.close()


@pytest.fixture
async def echo() -> Echo:
    """The server behind the proxy."""
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    """A proxy in front of it."""
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, FaultProxy(f"tcp://user:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/3") as proxy:
        yield proxy


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, text: bytes) -> bytes:
        """Send, and return as many bytes as were sent."""
        self.writer.write(text)
        return await self.reader.readexactly(len(text))


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def connect(proxy: FaultProxy) -> AsyncIterator[Connect]:
    """Open connections through the proxy; all are closed at the end."""
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()


async def test_passes_bytes_both_ways(proxy: FaultProxy, connect: Connect, echo: Echo) -> None:
    """Without a fault, it is as if it were not there; its URL differs in the port alone."""
    client = await connect()
    assert await client.say(b"hello") == b"hello"
    assert echo.received == b"hello"
    assert proxy.bytes_seen == {"to_server": 5, "to_client": 5}
    assert (proxy.accepted, proxy.open_connections) == (1, 1)
    assert proxy.url == f"tcp://user:secret@127.0.0.1:{proxy.port}/3"


async def test_an_end_is_passed_on(proxy: FaultProxy, connect: Connect, echo: Echo) -> None:
    """When the client closes, the server sees it."""
    client = await connect()
    await client.say(b"hello")
    client.writer.close()
    await wait_until(lambda: echo.ended == 1 and proxy.open_connections == 0, what="the end at the server")


async def test_latency_holds_every_chunk(proxy: FaultProxy, connect: Connect) -> None:
    """Latency counts once in each direction."""
    client = await connect()
    proxy.latency_s = 0.02
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await client.say(b"hello") == b"hello"
    assert loop.time() - began > 0.03  # a coarse clock may lose some of 0.04


async def test_blackhole_swallows(proxy: FaultProxy, connect: Connect, echo: Echo) -> None:
    """Everything is accepted and nothing comes out; healed, new connections work and old ones stay dead."""
    old = await connect()
    await old.say(b"before")
    proxy.blackhole()
    old.writer.write(b"lost")
    await wait_until(lambda: proxy.bytes_seen["to_server"] == 10, what="the bytes to be swallowed")
    proxy.pass_through()
    new = await connect()
    old.writer.write(b"lost too")
    await wait_until(lambda: proxy.bytes_seen["to_server"] == 18, what="the bytes to be swallowed")
    assert await new.say(b"after") == b"after"
    assert echo.received == b"beforeafter"


async def test_refuses_and_listens_again(proxy: FaultProxy, connect: Connect) -> None:
    """Refusing leaves open connections alone; listening again is on the same port."""
    client = await connect()
    await client.say(b"hello")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect()
    assert await client.say(b"still there") == b"still there"
    await proxy.listen()
    again = await connect()
    assert await again.say(b"hello") == b"hello"


async def test_reset_after_bytes_to_the_server(proxy: FaultProxy, connect: Connect, echo: Echo) -> None:
    """Exactly the bytes asked for reach the server, the client sees a reset, and it happens once."""
    client = await connect()
    proxy.reset_after(3, "to_server")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.say(b"hello")
    await wait_until(lambda: echo.ended == 1, what="the end at the server")
    assert echo.received == b"hel"
    again = await connect()
    assert await again.say(b"hello") == b"hello"


async def test_reset_after_bytes_to_the_client(proxy: FaultProxy, connect: Connect, echo: Echo) -> None:
    """The server got everything, the client not its whole answer."""
    client = await connect()
    proxy.reset_after(3, "to_client")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await client.say(b"hello")
    assert echo.received == b"hello"


async def test_cut_resets_what_is_open(proxy: FaultProxy, connect: Connect) -> None:
    """Every open connection is reset, new ones are accepted."""
    client = await connect()
    await client.say(b"hello")
    await proxy.cut()
    assert proxy.open_connections == 0
    with pytest.raises(ConnectionResetError):
        await client.reader.read(1)
    again = await connect()
    assert await again.say(b"hello") == b"hello"
