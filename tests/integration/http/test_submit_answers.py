"""What each thing that can happen to a submission's POST means: the whole list, one line each, on real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

import pytest
from pydantic_core import to_json
from redis.asyncio import Redis

from service.domain.predictions import State
from service.upstream import client
from tests.certificates import self_signed
from tests.fault_proxy import reset
from tests.integration.http.gateway import Gateway, open_gateway, settings
from tests.journeys.system import free_port

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Act = Callable[[Reader, Writer], Awaitable[None]]

STARTED: Final = {"code": 200, "message": "success", "data": {"id": "d5f3c1b2a4e64f0f9a1b2c3d4e5f6071"}}
HTML: Final = b"<html><body>502 Bad Gateway</body></html>"


@dataclass
class Upstream:
    """A server that does one thing to each connection; `bodies` are the submissions it has read whole."""

    act: Act
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Do it."""
        try:
            await self.act(reader, writer)
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self, scheme: str = "http") -> AsyncIterator["Upstream"]:
        """Listen for the time of the block."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self


async def read_submission(reader: Reader) -> bytes:
    """Read one whole request; its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return await reader.readexactly(int(length))


def answering(status: int, body: bytes | dict[str, object], content_type: str = "application/json") -> Act:
    """Read the submission, then answer it."""
    content = body if isinstance(body, bytes) else to_json(body)

    async def act(reader: Reader, writer: Writer) -> None:
        await read_submission(reader)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(content)}\r\n"
        writer.write(head.encode() + b"location: /elsewhere\r\n\r\n" + content)
        await writer.drain()

    return act


async def close_at_once(reader: Reader, writer: Writer) -> None:
    """Close the connection as soon as it is made."""


async def close_within_the_request(reader: Reader, writer: Writer) -> None:
    """Close after the first bytes."""
    await reader.readexactly(16)


async def close_after_the_body(reader: Reader, writer: Writer) -> None:
    """Read the submission, say nothing, close."""
    await read_submission(reader)


async def reset_after_the_body(reader: Reader, writer: Writer) -> None:
    """Read the submission, reset the connection."""
    await read_submission(reader)
    reset(writer)


async def reset_at_once(reader: Reader, writer: Writer) -> None:
    """Reset the connection as soon as it is made."""
    reset(writer)


async def close_within_the_answer(reader: Reader, writer: Writer) -> None:
    """Read the submission, begin to answer, close."""
    await read_submission(reader)
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"code":200')
    await writer.drain()


async def speak_something_else(reader: Reader, writer: Writer) -> None:
    """Read the submission, answer what is no HTTP."""
    await read_submission(reader)
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


async def hang(reader: Reader, writer: Writer) -> None:
    """Read the submission and never answer."""
    await read_submission(reader)
    await reader.read()


Meaning = Literal["created", "unconfirmed", "refused", "queued"]

MEANINGS: Final[dict[str, tuple[Act, Meaning, int]]] = {
    # what happens: (how, what it means, what the caller is answered)
    "200 with an id": (answering(200, STARTED), "created", 200),
    "200 with an error code and no id": (answering(200, {"code": 1200, "message": "moderated"}), "refused", 400),
    "200 with a 4xx code and no id": (answering(200, {"code": 422, "message": "no"}), "refused", 422),
    "400": (answering(400, {"code": 400, "message": "missing prompt"}), "refused", 400),
    "404": (answering(404, {"code": 404, "message": "no such model"}), "refused", 404),
    "422 without JSON": (answering(422, HTML, "text/html"), "refused", 422),
    "401": (answering(401, {"code": 401, "message": "bad key"}), "refused", 503),
    "402": (answering(402, {"code": 402, "message": "no credit"}), "refused", 503),
    "403": (answering(403, {"code": 403, "message": "suspended"}), "refused", 503),
    "429": (answering(429, {"code": 429, "message": "slow down"}), "queued", 200),
    "408": (answering(408, {"code": 408, "message": "timeout"}), "unconfirmed", 200),
    "301": (answering(301, b""), "unconfirmed", 200),
    "302": (answering(302, b""), "unconfirmed", 200),
    "307": (answering(307, b""), "unconfirmed", 200),
    "500": (answering(500, {"code": 500, "message": "oops"}), "unconfirmed", 200),
    "502 HTML": (answering(502, HTML, "text/html"), "unconfirmed", 200),
    "503": (answering(503, b""), "unconfirmed", 200),
    "504": (answering(504, b""), "unconfirmed", 200),
    "200 HTML": (answering(200, HTML, "text/html"), "unconfirmed", 200),
    "200 empty": (answering(200, b""), "unconfirmed", 200),
    "200 with an error code and an id": (
        answering(200, {"code": 500, "message": "?", "data": {"id": "abc"}}),
        "unconfirmed",
        200,
    ),
    "200 without an id": (answering(200, {"code": 200, "data": {}}), "unconfirmed", 200),
    "201": (answering(201, STARTED), "unconfirmed", 200),
    "204": (answering(204, b""), "unconfirmed", 200),
    "closed at once": (close_at_once, "unconfirmed", 200),
    "reset at once": (reset_at_once, "unconfirmed", 200),
    "closed within the request": (close_within_the_request, "unconfirmed", 200),
    "closed after the body": (close_after_the_body, "unconfirmed", 200),
    "reset after the body": (reset_after_the_body, "unconfirmed", 200),
    "closed within the answer": (close_within_the_answer, "unconfirmed", 200),
    "no HTTP": (speak_something_else, "unconfirmed", 200),
    "hangs": (hang, "unconfirmed", 200),
}


async def left(redis: Redis) -> list[bytes]:
    """The records of predictions there are."""
    return [key async for key in redis.scan_iter("bw:prediction:*")]


@pytest.mark.parametrize("what", MEANINGS)
async def test_what_it_means(redis_url: str, redis: Redis, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started, refused without a trace, put into the queue, or not known and never sent again."""
    act, meaning, status = MEANINGS[what]
    connections = 0

    async def counted(reader: Reader, writer: Writer) -> None:
        nonlocal connections
        connections += 1
        await act(reader, writer)

    monkeypatch.setattr(client, "SUBMIT_S", 0.5)  # only the hanging one waits for it
    async with Upstream(counted).running() as upstream, open_gateway(settings(redis_url, upstream.url)) as gateway:
        answer = await gateway.submit()
        assert answer.status_code == status, answer.text
        assert connections == 1, "whatever it means, it was sent once"
        if meaning == "refused":
            assert await left(redis) == []
            return
        assert answer.json()["data"]["status"] == "created"
        assert await state(gateway, answer.json()["data"]["id"]) == meaning


async def state(gateway: Gateway, prediction_id: str) -> str:
    """Where a prediction stands."""
    prediction = await gateway.resources.predictions.load(prediction_id)
    assert prediction is not None
    return prediction.state.value


async def test_a_hanging_upstream_does_not_hold_the_caller(redis_url: str) -> None:
    """The caller has its id within the answer window; the POST goes on, and its timeout makes it unconfirmed."""
    async with (
        Upstream(hang).running() as upstream,
        open_gateway(settings(redis_url, upstream.url), answer_within_s=0.2) as gateway,
    ):
        data = await gateway.submitted()
        assert await state(gateway, data["id"]) == State.SUBMITTING
        assert len(gateway.resources.submit.running) == 1
        assert await gateway.resources.submit.drain(0.1) == 1


async def never_sent(redis_url: str, redis: Redis, upstream_url: str) -> None:
    """The submission is refused as one that never left; nothing but the books knows of it."""
    async with open_gateway(settings(redis_url, upstream_url)) as gateway:
        answer = await gateway.submit()
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert gateway.resources.metrics.registry.get_sample_value(
            "breakwater_upstream_calls_total", {"operation": "submit", "outcome": "never_sent"}
        )
    assert await left(redis) == []


async def test_a_refused_connection_never_left(redis_url: str, redis: Redis) -> None:
    """Nobody listens."""
    await never_sent(redis_url, redis, f"http://127.0.0.1:{free_port()}")


async def test_a_name_that_does_not_resolve_never_left(redis_url: str, redis: Redis) -> None:
    """There is no such host (RFC 6761 keeps `.invalid` free of them)."""
    await never_sent(redis_url, redis, "http://wavespeed.invalid")


async def test_no_tls_on_the_other_side_never_left(redis_url: str, redis: Redis) -> None:
    """The handshake fails before a byte of ours was sent."""
    async with Upstream(hang_up_on_tls).running("https") as upstream:
        await never_sent(redis_url, redis, upstream.url)


async def hang_up_on_tls(reader: Reader, writer: Writer) -> None:
    """Answer a TLS hello as a plain HTTP server would."""
    await reader.read(16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def test_a_certificate_nobody_vouches_for_never_left(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    """Our key does not go to whoever happens to answer."""
    read: list[bytes] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(self_signed(tmp_path, "localhost"))

    async def listen(reader: Reader, writer: Writer) -> None:
        read.append(await reader.read())

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=tls)
    async with server:
        await never_sent(redis_url, redis, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert b"".join(read) == b""


async def test_a_connect_that_takes_too_long_never_left(
    redis_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that swallows packets: the wait is bounded, and nothing was sent."""
    monkeypatch.setattr(client, "CONNECT_S", 0.3)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        # A listener that accepts nobody, with its queue full: the kernel answers no further hello.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        await never_sent(redis_url, redis, f"http://127.0.0.1:{full.getsockname()[1]}")
