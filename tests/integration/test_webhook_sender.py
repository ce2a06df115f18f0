"""Where callbacks go and where they never go, against receivers on real sockets."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import cast

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from service.domain.callback_address import CallbackPolicy
from service.domain.callback_url import CallbackTarget, read_url
from service.domain.errors import CallbackDenied
from service.domain.webhook_retries import Outcome
from tests.certificates import self_signed
from tests.waiting import wait_until
from worker import webhook_sender
from worker.webhook_sender import MAX_ANSWER_BYTES, AttemptResult, WebhookSender

LOCAL = CallbackPolicy.parse("127.0.0.1/32")
TOKEN = "tell-nobody"
BODY = '{"type":"prediction.completed","data":"日本"}'.encode()
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes, then_close: bool = False) -> Behaviour:
    """Answer each request so."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if then_close:
            writer.close()

    return behave


def status(code: int, *headers: str) -> Behaviour:
    """Answer each request with this status and these headers, and an empty body."""
    length = () if code == 204 else ("content-length: 0",)
    return says("\r\n".join([f"HTTP/1.1 {code} So", *headers, *length, "", ""]).encode())


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection once the request was read."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def endless(writer: asyncio.StreamWriter) -> None:
    """Answer for as long as anybody listens."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()


@dataclass
class Receiver:
    """A receiver, and what has reached it so far: requests as raw bytes, connections made and still open."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Where to reach it, a token that must never be told included."""
        return f"{scheme}://{host}:{self.port}/hook?token={TOKEN}"


@asynccontextmanager
async def receiver(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listen on 127.0.0.1 and treat each request with `behave`."""
    it = Receiver()
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.open += 1
        with suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                it.requests.append(head + await reader.readexactly(length))
                await behave(writer)
        it.open -= 1
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.connections += 1
        serving[asyncio.ensure_future(serve(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        for task, writer in serving.items():
            task.cancel()
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await task
            with suppress(OSError):
                await writer.wait_closed()
        await server.wait_closed()


class Names(AbstractResolver):
    """Knows every name by the same addresses: the next answer at each lookup, the last one from then on."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the next answer."""
        found = self.answers[min(self.lookups, len(self.answers) - 1)]
        self.lookups += 1
        return [ResolveResult(hostname=host, host=it, port=port, family=family, proto=0, flags=0) for it in found]

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class LatePolicy:
    """Lets every URL pass, and the first `lenient` addresses it is asked about: what is denied is denied late."""

    lenient: int = 0
    asked: list[str] = field(default_factory=list, hash=False)

    def check_url(self, url: str) -> CallbackTarget:
        """Let it pass."""
        return read_url(url)

    def check_address(self, target: CallbackTarget, address: str) -> None:
        """Deny it, once `lenient` of them have passed."""
        self.asked.append(address)
        if len(self.asked) > self.lenient:
            raise CallbackDenied(f"{address} is not allowed")

    def as_policy(self) -> CallbackPolicy:
        """Pass for a real one."""
        return cast(CallbackPolicy, self)


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    """A sender with short bounds."""
    async with WebhookSender(total_s=5.0, connect_s=2.0) as it:
        yield it


async def send(sender: WebhookSender, url: str, policy: CallbackPolicy = LOCAL) -> AttemptResult:
    """Send the body; whatever came of it, it does not tell the URL's token."""
    result = await sender.send(url, BODY, {"webhook-id": "evt_1"}, policy)
    assert TOKEN not in result.error
    assert "/hook" not in result.error
    assert bool(result.error) == (result.outcome != "delivered")
    return result


async def test_what_is_sent(sender: WebhookSender) -> None:
    """The receiver gets the very bytes of the body by POST, our headers, who calls, and nothing else."""
    async with receiver(says(OK)) as it:
        result = await send(sender, it.url())
        assert (result.outcome, result.status, result.answer, result.retry_after_s) == ("delivered", 200, "ok", None)
        assert 0 < result.duration_s < 2
        head, _, body = it.requests[0].partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
    assert first == f"POST /hook?token={TOKEN} HTTP/1.1"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers.pop("user-agent").startswith("Breakwater/")
    assert headers == {
        "host": f"127.0.0.1:{it.port}",
        "webhook-id": "evt_1",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
    }
    assert body == BODY


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        *((200, "delivered"), (201, "delivered"), (204, "delivered"), (299, "delivered"), (304, "redirected")),
        *((400, "rejected"), (404, "rejected"), (500, "rejected"), (503, "rejected")),
        *((410, "gone"), (429, "rate_limited")),
    ],
)
async def test_statuses(sender: WebhookSender, code: int, outcome: Outcome) -> None:
    """Only 2xx is delivered; 410 and 429 have outcomes of their own."""
    async with receiver(status(code)) as it:
        result = await send(sender, it.url())
    assert (result.outcome, result.status) == (outcome, code)


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after(sender: WebhookSender, code: int) -> None:
    """The receiver's wish is read, in seconds or as a date; nonsense is no wish."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    async with receiver(status(code, "Retry-After: 7")) as it:
        assert (await send(sender, it.url())).retry_after_s == 7
    async with receiver(status(code, f"Retry-After: {date}")) as it:
        assert (await send(sender, it.url())).retry_after_s == pytest.approx(100, abs=3)
    async with receiver(status(code, "Retry-After: later")) as it:
        assert (await send(sender, it.url())).retry_after_s is None


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(sender: WebhookSender, code: int) -> None:
    """A redirect is a failure, and where it leads is never asked."""
    async with receiver(says(OK)) as elsewhere, receiver(status(code, f"location: {elsewhere.url()}")) as it:
        result = await send(sender, it.url())
        assert (result.outcome, result.status) == ("redirected", code)
        assert (len(it.requests), elsewhere.connections) == (1, 0)


async def test_a_hanging_receiver() -> None:
    """A receiver that takes the request and says nothing costs the total bound, no more."""
    async with WebhookSender(total_s=0.2, connect_s=0.1) as sender, receiver(hang) as it:
        result = await send(sender, it.url())
        assert (result.outcome, result.status, result.error) == ("timeout", None, "no answer within 0.2 s")
        assert 0.2 <= result.duration_s < 1
        await wait_until(lambda: it.requests, what="the request")


async def test_a_hanging_handshake_or_lookup() -> None:
    """A name that takes for ever to resolve, and a handshake that never ends, cost the connect bound."""

    class Stuck(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            await asyncio.Event().wait()
            raise AssertionError

    async with WebhookSender(Stuck(), total_s=5, connect_s=0.1) as sender, receiver(says(OK)) as it:
        for url in (it.url("hooks.test"), it.url(scheme="https")):
            result = await send(sender, url)
            assert (result.outcome, result.error) == ("timeout", "no connection within 0.1 s")
            assert result.duration_s < 1


async def test_an_endless_answer(sender: WebhookSender) -> None:
    """Of an answer without end 16 kB are kept, and then the connection is closed."""
    async with receiver(endless) as it:
        result = await send(sender, it.url())
        assert (result.outcome, result.answer) == ("delivered", "x" * MAX_ANSWER_BYTES)
        await wait_until(lambda: it.open == 0, what="the connection to be closed")


@pytest.mark.parametrize("then_close", [True, False])
async def test_an_answer_that_breaks_off(then_close: bool) -> None:
    """Once there is a status it counts, though the rest never comes: sending again would be sending twice."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf\xff"
    async with WebhookSender(total_s=0.3) as sender, receiver(says(answer, then_close)) as it:
        result = await send(sender, it.url())
    assert (result.outcome, result.status, result.answer) == ("delivered", 200, "half\ufffd")


async def test_refused(sender: WebhookSender) -> None:
    """Nothing listening is a failed connection."""
    async with receiver(says(OK)) as it:
        pass
    result = await send(sender, it.url())
    assert (result.outcome, result.status, result.error) == (
        "connect_failed",
        None,
        "cannot connect: connection refused",
    )


@pytest.mark.parametrize(
    "behave", [reset, says(b"", True), says(b"nonsense\r\n\r\n"), says(b"HTTP/1.1 200 OK\r\n", True)]
)
async def test_broken(sender: WebhookSender, behave: Behaviour) -> None:
    """A connection reset or closed after the request, or an answer that is not HTTP, is broken, not unconnected."""
    async with receiver(behave) as it:
        result = await send(sender, it.url())
        assert (result.outcome, result.status, len(it.requests)) == ("broken", None, 1)


async def test_unknown_name() -> None:
    """A name without an address is a failed connection."""

    class Unknown(Names):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            raise OSError(-2, "Name or service not known")

    for resolver in (Unknown(), Names([])):
        async with WebhookSender(resolver) as sender:
            result = await send(sender, f"http://hooks.test/hook?token={TOKEN}")
            assert (result.outcome, result.error) == ("connect_failed", "the name does not resolve")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for hooks.test, with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"), "hooks.test")


async def test_tls(certificate: Path) -> None:
    """A certificate nobody vouches for, or for another name, fails; one that is trusted and named right does not."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    async with receiver(says(OK), served) as it:
        for trusted, host, outcome in [
            (None, "hooks.test", "tls_failed"),
            (certificate, "other.test", "tls_failed"),
            (certificate, "hooks.test", "delivered"),
        ]:
            tls = ssl.create_default_context(cafile=trusted) if trusted else None
            async with WebhookSender(Names(["127.0.0.1"]), tls=tls) as sender:
                result = await send(sender, it.url(host, "https"))
                assert result.outcome == outcome
        assert len(it.requests) == 1


async def test_tls_to_a_plain_port(sender: WebhookSender) -> None:
    """A port that speaks no TLS is a failed handshake."""

    def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_at_once, "127.0.0.1", 0) as server:
        it = Receiver(server.sockets[0].getsockname()[1])
        result = await send(sender, it.url(scheme="https"))
        assert (result.outcome, result.error) == ("tls_failed", "the TLS handshake failed")


async def test_a_name_that_moves_is_denied() -> None:
    """A name that led to an allowed address and now leads to a denied one is denied, and nobody is connected to."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with receiver(status(200, "connection: close")) as it, WebhookSender(names) as sender:
        assert (await send(sender, it.url("hooks.test"))).outcome == "delivered"
        result = await send(sender, it.url("hooks.test"))
        assert (result.outcome, result.status) == ("denied", None)
        assert "loopback" in result.error
        assert it.connections == 1


@pytest.mark.parametrize(
    "answer", [["127.0.0.1", "169.254.169.254"], ["::1", "127.0.0.1"], ["127.0.0.1", "fe80::1%eth0"]]
)
async def test_a_mixed_answer_is_denied(answer: list[str]) -> None:
    """One denied address among those of a name denies the send, wherever it stands."""
    async with receiver(says(OK)) as it, WebhookSender(Names(answer)) as sender:
        assert (await send(sender, it.url("hooks.test"))).outcome == "denied"
        assert it.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.2", "0x7f.2", "[::1]", "[::ffff:127.0.0.2]", "169.254.169.254"])
async def test_literal_addresses_are_denied(sender: WebhookSender, host: str) -> None:
    """An address written into the URL, however it is written, is denied before anything is sent."""
    async with receiver(says(OK)) as it:
        assert (await send(sender, it.url(host))).outcome == "denied"
        assert it.connections == 0


@pytest.mark.parametrize(("host", "lenient"), [("127.0.0.1", 0), ("hooks.test", 2), ("hooks.test", 1)])
async def test_the_socket_address_is_checked(host: str, lenient: int) -> None:
    """What passes the checks of URL and name is checked again as a socket is made, several addresses or one."""
    late = LatePolicy(lenient)
    async with receiver(says(OK)) as it, WebhookSender(Names(["127.0.0.1", "127.0.0.2"])) as sender:
        result = await send(sender, it.url(host), late.as_policy())
        assert (result.outcome, result.status) == ("denied", None)
        assert "is not allowed" in result.error
        assert it.connections == 0
    assert len(late.asked) == lenient + 1


async def test_the_next_address_is_tried() -> None:
    """A name with several allowed addresses is reached by the one that answers."""
    policy = CallbackPolicy.parse("127.0.0.0/8")
    async with receiver(says(OK)) as it, WebhookSender(Names(["127.0.0.2", "127.0.0.1"])) as sender:
        assert (await send(sender, it.url("hooks.test"), policy)).outcome == "delivered"


async def test_malformed_urls_are_denied(sender: WebhookSender) -> None:
    """A URL that is none is an outcome too, not an exception."""
    for url in ("", "ftp://127.0.0.1/", "http://", "http://[/", "http://127.0.0.1:99999/", "http://a b/", "\ud800"):
        result = await send(sender, url)
        assert (result.outcome, result.status) == ("denied", None)


async def test_unsendable_headers_are_an_outcome(sender: WebhookSender) -> None:
    """A header that HTTP cannot carry breaks the attempt, and nothing else."""
    async with receiver(says(OK)) as it:
        result = await sender.send(it.url(), BODY, {"traceparent": "00\r\nevil: 1"}, LOCAL)
        assert (result.outcome, it.requests) == ("broken", [])


async def test_connections_are_reused_under_one_policy(sender: WebhookSender) -> None:
    """Callbacks to one receiver share a connection, also under an equal policy that was read again."""
    async with receiver(says(OK)) as it:
        for policy in (LOCAL, LOCAL, CallbackPolicy.parse("127.0.0.1/32")):
            assert (await send(sender, it.url(), policy)).outcome == "delivered"
        assert (len(it.requests), it.connections) == (3, 1)


async def test_policies_do_not_share_connections(sender: WebhookSender) -> None:
    """A connection that one policy allowed is never used under another."""
    other = CallbackPolicy.parse("127.0.0.1/32, 10.0.0.0/8")
    late = LatePolicy().as_policy()
    async with receiver(says(OK)) as it:
        outcomes = [(await send(sender, it.url(), policy)).outcome for policy in (LOCAL, other, late, LOCAL)]
        assert outcomes == ["delivered", "delivered", "denied", "delivered"]
        assert it.connections == 2


async def test_connections_of_old_policies_are_closed(sender: WebhookSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many policies the oldest one's connections are closed, but not under a send that is using them."""
    monkeypatch.setattr(webhook_sender, "MAX_POLICIES", 1)
    go_on = asyncio.Event()

    async def behave(writer: asyncio.StreamWriter) -> None:
        if len(it.requests) == 1:
            await go_on.wait()
        writer.write(OK)

    async with receiver(behave) as it:
        first = asyncio.ensure_future(send(sender, it.url()))
        await wait_until(lambda: it.requests, what="the first request")
        for text in ("127.0.0.1/32, 10.0.0.0/8", "127.0.0.1/32, 10.0.0.0/9"):
            assert (await send(sender, it.url(), CallbackPolicy.parse(text))).outcome == "delivered"
        await wait_until(lambda: it.open == 2, what="the idle connection to be closed")
        go_on.set()
        assert (await first).outcome == "delivered"
        await wait_until(lambda: it.open == 1, what="the first connection to be closed")


async def test_closing_closes_connections() -> None:
    """After the context nothing is left open, and nothing more can be sent."""
    async with receiver(says(OK)) as it:
        async with WebhookSender() as sender:
            await send(sender, it.url())
            assert it.open == 1
        await wait_until(lambda: it.open == 0, what="the connection to be closed")
        with pytest.raises(RuntimeError):
            await sender.send(it.url(), BODY, {}, LOCAL)


async def test_a_cancelled_send_is_cancelled(sender: WebhookSender) -> None:
    """A worker that is told to stop does not see its cancellation as a failed attempt; the connection is closed."""
    async with receiver(hang) as it:
        task = asyncio.ensure_future(send(sender, it.url()))
        await wait_until(lambda: it.requests, what="the request")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cookies_are_not_kept() -> None:
    """What one receiver sets as a cookie is not sent back to it."""
    async with receiver(status(200, "set-cookie: a=b; path=/")) as it, WebhookSender(Names(["127.0.0.1"])) as sender:
        await send(sender, it.url("hooks.test"))
        await send(sender, it.url("hooks.test"))
        assert len(it.requests) == 2
        assert b"cookie" not in it.requests[1].lower()


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named in the environment never sees a callback: behind one no address could be checked."""
    async with receiver(says(OK)) as proxy, receiver(says(OK)) as it:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with WebhookSender(Names(["127.0.0.1"])) as sender:
            assert (await send(sender, it.url("hooks.test"))).outcome == "delivered"
        assert (proxy.connections, it.connections) == (0, 1)
