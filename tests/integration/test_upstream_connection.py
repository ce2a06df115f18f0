"""The connections to WaveSpeed on real sockets: what is sent, how often, and what of an answer is read."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from yarl import URL

from service.domain.errors import NeverSent, OutcomeUnknown, ReadFailed
from service.metrics import Metrics
from service.trust import system_trust
from service.upstream import client, connection
from service.upstream.client import WaveSpeed, connect_upstream
from service.upstream.connection import MAX_ANSWER_BYTES, Answer, NeverConnected, Request, open_connections
from service.upstream.key import UpstreamKey
from tests.certificates import self_signed
from tests.fault_proxy import reset
from tests.waiting import wait_until

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Act = Callable[[Writer], Awaitable[None]]

KEY: Final = "sk-a-key-that-nobody-may-see"
STARTED: Final = b'{"code":200,"message":"success","data":{"id":"task-0001"}}'


@dataclass
class Upstream:
    """Reads each request whole, then does the next of its acts, the last one again and again."""

    acts: list[Act]
    url: str = ""
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    ended: int = 0

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One connection, until it ends."""
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                self.heads.append(head)
                await self.acts[min(len(self.heads), len(self.acts)) - 1](writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side is done
        finally:
            self.ended += 1
            writer.close()

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Upstream"]:
        """Listen for the time of the block."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        async with server:
            yield self


def say(status: str, body: bytes, *headers: str) -> Act:
    """Answer, and keep the connection."""

    async def act(writer: Writer) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return act


async def close(writer: Writer) -> None:
    """Say nothing, close."""
    writer.close()


async def abort(writer: Writer) -> None:
    """Say nothing, reset the connection."""
    reset(writer)


async def reset_within(writer: Writer) -> None:
    """Begin to answer, then reset the connection."""
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"code":200')
    await writer.drain()
    reset(writer)


async def drip(writer: Writer) -> None:
    """Answer one byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def gush(writer: Writer) -> None:
    """Answer without an end, as fast as it is taken."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def nothing(writer: Writer) -> None:
    """Stay silent."""


@asynccontextmanager
async def account(upstream: Upstream) -> AsyncIterator[WaveSpeed]:
    """The account at such an upstream."""
    key = UpstreamKey(SecretStr(KEY), None)
    async with connect_upstream(upstream.url, key, Metrics(CollectorRegistry(), "")) as wavespeed:
        yield wavespeed


def get(upstream: Upstream) -> Request:
    """A request that changes nothing."""
    return Request("GET", URL(upstream.url), {"authorization": f"Bearer {KEY}"})


@pytest.mark.parametrize("broken", [close, abort, reset_within])
async def test_a_submission_on_a_kept_connection_is_sent_once(broken: Act) -> None:
    """The upstream reads it and breaks the connection: nobody knows whether it was started, and nobody asks again."""
    async with Upstream([say("200 OK", STARTED), broken]).running() as upstream, account(upstream) as wavespeed:
        await wavespeed.create("vendor/model", b"{}", {})
        with pytest.raises(OutcomeUnknown):
            await wavespeed.create("vendor/model", b"{}", {})
        assert (len(upstream.heads), upstream.connections) == (2, 1)


async def test_a_connection_closed_while_idle_is_not_used_again() -> None:
    """An upstream that closes after every answer, without saying so, gets each submission once and on a new one."""

    async def answer_and_close(writer: Writer) -> None:
        await say("200 OK", STARTED)(writer)
        writer.close()

    async with Upstream([answer_and_close]).running() as upstream, account(upstream) as wavespeed:
        for sent in range(1, 21):
            await wavespeed.create("vendor/model", b"{}", {})
            assert len(upstream.heads) == sent
            await wait_until(lambda: not wavespeed_idle(wavespeed), what="the end has arrived")
        assert upstream.connections == 20


def wavespeed_idle(wavespeed: WaveSpeed) -> bool:
    """Whether a connection is kept that is still good."""
    connector = wavespeed._connections._session.connector
    assert connector is not None
    return any(protocol.is_connected() for kept in connector._conns.values() for protocol, _ in kept)


async def test_an_idle_connection_is_kept_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used again at once, and closed before the upstream would close it at a moment of its own."""
    assert connection._KEEP_ALIVE_S <= 4
    monkeypatch.setattr(connection, "_KEEP_ALIVE_S", 0.3)
    async with Upstream([say("200 OK", b"")]).running() as upstream, open_connections(1.0) as connections:
        for _ in range(3):
            await connections.exchange(get(upstream))
        assert upstream.connections == 1
        await wait_until(lambda: upstream.ended == 1, what="the idle connection is closed")


async def test_a_place_that_does_not_come_free_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound to connections; who gets none in time has sent nothing."""
    assert connection._CONNECTIONS == 512
    monkeypatch.setattr(connection, "_CONNECTIONS", 1)
    async with Upstream([nothing]).running() as upstream, open_connections(0.2) as connections:
        first = asyncio.create_task(connections.exchange(get(upstream)))
        await wait_until(lambda: upstream.heads, what="the only place is taken")
        with pytest.raises(NeverConnected):
            await connections.exchange(get(upstream))
        assert (len(upstream.heads), upstream.connections) == (1, 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_canceled_exchange_ends() -> None:
    """The upstream sees its end at once."""
    async with Upstream([nothing]).running() as upstream, open_connections(5.0) as connections:
        exchange = asyncio.create_task(connections.exchange(get(upstream)))
        await wait_until(lambda: upstream.heads, what="it was sent")
        exchange.cancel()
        assert isinstance((await asyncio.gather(exchange, return_exceptions=True))[0], asyncio.CancelledError)
        await wait_until(lambda: upstream.ended == 1, 5.0, "its connection is closed")


async def test_what_is_canceled_before_it_has_a_connection_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor when a place comes free later."""
    monkeypatch.setattr(connection, "_CONNECTIONS", 1)
    go_on = asyncio.Event()

    async def answer_later(writer: Writer) -> None:
        await go_on.wait()
        await say("200 OK", b"")(writer)

    async with Upstream([answer_later]).running() as upstream, open_connections(5.0) as connections:
        first = asyncio.create_task(connections.exchange(get(upstream)))
        await wait_until(lambda: upstream.heads, what="the only place is taken")
        second = asyncio.create_task(connections.exchange(get(upstream)))
        await asyncio.sleep(0)  # it has begun, and waits
        second.cancel()
        go_on.set()
        await asyncio.gather(first, second, return_exceptions=True)
        await connections.exchange(get(upstream))  # the place is free, and another takes it
        assert len(upstream.heads) == 2


async def test_an_answer_that_drips_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is for the whole exchange: every byte in time makes no answer, and the connection ends."""
    monkeypatch.setattr(client, "SUBMIT_S", 0.3)
    async with Upstream([drip]).running() as upstream, account(upstream) as wavespeed:
        with pytest.raises(OutcomeUnknown, match="TimeoutError"):
            await wavespeed.create("vendor/model", b"{}", {})
        await wait_until(lambda: upstream.ended == 1, what="its connection is closed")


async def test_an_answer_without_end_is_not_read_on() -> None:
    """A body that is too long is no verdict, and its connection ends."""
    async with Upstream([gush]).running() as upstream, account(upstream) as wavespeed:
        with pytest.raises(ReadFailed, match="unreadable body"):
            await wavespeed.fetch("task-0001")
        await wait_until(lambda: upstream.ended == 1, what="its connection is closed")


@pytest.mark.parametrize(("length", "read"), [(MAX_ANSWER_BYTES, MAX_ANSWER_BYTES), (MAX_ANSWER_BYTES + 1, 0)])
async def test_the_longest_answer(length: int, read: int) -> None:
    """It is read whole; one byte more and nothing is."""
    async with Upstream([say("200 OK", b" " * length)]).running() as upstream, open_connections(1.0) as connections:
        assert len((await connections.exchange(get(upstream))).body) == read


async def test_only_what_is_given_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No header of a client's own, no cookie an answer has set, no proxy or password the environment names."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    act = say("200 OK", b"", "set-cookie: a=b; path=/")
    async with Upstream([act]).running() as upstream, open_connections(1.0) as connections:
        for _ in range(2):
            await connections.exchange(get(upstream))
    names = [[line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line] for head in upstream.heads]
    assert names == [[b"host", b"authorization"]] * 2


async def test_an_answer_comes_as_it_is() -> None:
    """A redirect is an answer like another, and what is compressed stays so: a small answer cannot grow in here."""
    packed = gzip.compress(b" " * 10_000_000)
    moved = say("307 Moved", packed, "location: /elsewhere", "content-encoding: gzip", "retry-after: 7")
    async with Upstream([moved]).running() as upstream, open_connections(1.0) as connections:
        assert await connections.exchange(get(upstream)) == Answer(307, packed, "7")
        assert len(upstream.heads) == 1


async def test_certificates_are_verified_as_everywhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SSL_CERT_FILE` says whom to trust; a certificate it does not vouch for gets no byte of a submission."""
    certificate = self_signed(tmp_path, "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with Upstream([say("200 OK", STARTED)]).running(tls) as upstream:
        async with account(upstream) as wavespeed:
            with pytest.raises(NeverSent):
                await wavespeed.create("vendor/model", b"{}", {})
        assert upstream.heads == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        system_trust.cache_clear()  # read once a process
        try:
            async with account(upstream) as wavespeed:
                assert (await wavespeed.create("vendor/model", b"{}", {})).upstream_id == "task-0001"
        finally:
            system_trust.cache_clear()


def test_a_request_does_not_show_our_key() -> None:
    """Neither printed nor in a failed comparison."""
    request = Request("GET", URL("http://upstream.example/"), {"authorization": f"Bearer {KEY}"})
    assert KEY not in repr(request) + str(request) + f"{request}"
