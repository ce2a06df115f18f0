"""Files for models: a ticket for WaveSpeed's storage, or the file itself, passed on while it comes in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.integration.http.gateway import Gateway, open_gateway, settings
from tests.integration.life.life import Life
from tests.integration.life.online import serving
from tests.integration.simulator.running import KEY, Running
from tests.waiting import wait_until

TICKET: Final = "/api/v3/media/uploads"
BINARY: Final = "/api/v3/media/upload/binary"
FILE: Final = bytes(range(256)) * 1_000

BAD_TICKETS: Final[list[dict[str, Any]]] = [
    *({}, {"filename": "x"}, {"filename": "", "size": 1}),
    *({"filename": "x", "size": -1}, {"filename": 5, "size": 1}, {"filename": "x", "size": False}),
]


@dataclass(slots=True)
class Upstream:
    """Takes uploads as they come, and says what it is told to."""

    status: int = 200
    body: Any = None
    stalled: asyncio.Event | None = None
    received: bytearray = field(default_factory=bytearray)
    heads: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        """Read everything, or nothing while stalled."""
        self.heads.append(request)
        if self.stalled is not None:
            await self.stalled.wait()
        async for piece in request.stream():
            self.received += piece
        data = {"type": "image", "download_url": "https://cdn.example/x.png", "filename": "x.png", "size": 1}
        return JSONResponse(self.body or {"code": 200, "message": "success", "data": data}, self.status)


@asynccontextmanager
async def before(redis_url: str, upstream: Upstream, **fields: Any) -> AsyncIterator[Gateway]:
    """A gateway before such an upstream."""
    app = Starlette(routes=[Route(path, upstream.__call__, methods=["POST"]) for path in (TICKET, BINARY)])
    async with (
        serving(app) as (_, port),
        open_gateway(settings(redis_url, f"http://127.0.0.1:{port}", **fields)) as gateway,
    ):
        yield gateway


async def test_a_file_goes_through_whole(life: Life) -> None:
    """What is read where the answer says is what was uploaded; no money is held, no limit counts it."""
    await life.gateway.limit(rate_per_minute=1, burst=1, budget_usd="0.01")
    for _ in range(3):
        answer = await life.gateway.client.post(BINARY, files={"file": ("pier.png", FILE, "image/png")})
        assert (answer.status_code, answer.json()["code"]) == (200, 200)
        data = answer.json()["data"]
        assert (data["type"], data["filename"], data["size"]) == ("image", "pier.png", len(FILE))
    async with life.simulator.client() as upstream:
        assert (await upstream.get(data["download_url"])).content == FILE
    assert (await life.ledger()).held == 0


@pytest.mark.parametrize("path", ["/api/v3/upload", "/api/v3/uploads"])
async def test_older_clients_upload_elsewhere(life: Life, path: str) -> None:
    """The same upload, answered with `url` beside what others read."""
    answer = await life.gateway.client.post(path, files={"file": ("pier.png", FILE, "image/png")})
    assert (answer.status_code, answer.json()["code"]) == (200, 200)
    data = answer.json()["data"]
    assert (data["url"], data["size"]) == (data["download_url"], len(FILE))
    async with life.simulator.client() as upstream:
        assert (await upstream.get(data["url"])).content == FILE
    assert (await life.gateway.client.post(path, json={})).status_code == 400


async def test_a_ticket_leads_to_storage(life: Life) -> None:
    """The file is PUT there without any key, and can be read where the ticket says."""
    wanted = {"filename": "pier.png", "size": len(FILE), "content_type": "image/png"}
    ticket = (await life.gateway.client.post(TICKET, json=wanted)).json()["data"]
    assert (ticket["filename"], ticket["size"], ticket["upload"]["method"]) == ("pier.png", len(FILE), "PUT")
    async with httpx2.AsyncClient(trust_env=False, verify=False) as stranger:
        upload = ticket["upload"]
        assert (await stranger.put(upload["url"], content=FILE, headers=upload["headers"])).is_success
        assert (await stranger.get(ticket["download_url"])).content == FILE


async def test_the_body_is_passed_on_byte_for_byte(redis_url: str) -> None:
    """Whatever its boundary and its parts are, with our key in place of the caller's and no header but its type."""
    upstream = Upstream()
    body = b"--a b\r\nContent-Disposition: form-data; name=file\r\n\r\n" + FILE + b"\r\n--a b--\r\nepilogue"
    content_type = 'multipart/form-data; boundary="a b"'
    headers = {"content-type": content_type, "x-internal": "1", "cookie": "a=b"}
    async with before(redis_url, upstream) as gateway:
        for content in (body, _pieces(body)):  # with a length, and without one
            answer = await gateway.client.post(BINARY, content=content, headers=headers)
            assert answer.status_code == 200
            assert bytes(upstream.received) == body
            upstream.received.clear()
    for head in upstream.heads:
        assert (head.headers["content-type"], head.headers["authorization"]) == (content_type, f"Bearer {KEY}")
        assert not {"x-internal", "cookie"} & set(head.headers)
    assert [head.headers.get("content-length") for head in upstream.heads] == [str(len(body)), None]


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def test_memory_is_bounded(redis_url: str) -> None:
    """While WaveSpeed takes nothing, no more is taken from the caller than fits into the buffers between."""
    upstream = Upstream(stalled=asyncio.Event())
    async with before(redis_url, upstream) as gateway, serving(gateway.app) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [f"POST {BINARY} HTTP/1.1", "host: x", f"authorization: Bearer {gateway.key}"]
        head += ["content-type: multipart/form-data; boundary=b", "content-length: 100000000", "", ""]
        writer.write("\r\n".join(head).encode())
        sent = 0
        while True:
            writer.write(bytes(1_000_000))
            sent += 1_000_000
            try:
                async with asyncio.timeout(0.3):
                    await writer.drain()
            except TimeoutError:
                break
            assert sent < 30_000_000
        writer.transport.abort()
        del reader
        upstream.stalled.set()  # type: ignore[union-attr]


@pytest.mark.parametrize("declared", [True, False])
async def test_too_much_is_a_413(redis_url: str, declared: bool) -> None:
    """At once where the length says so, else when it has come in; WaveSpeed gets no whole file then."""
    upstream = Upstream()
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with before(redis_url, upstream, max_upload_bytes=20_000) as gateway:
        content = bytes(30_000) if declared else _pieces(bytes(30_000))
        answer = await gateway.client.post(BINARY, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"], "20000 bytes" in answer.json()["message"]) == (
            413,
            413,
            True,
        )
        assert len(upstream.heads) <= (not declared)
        ticket = await gateway.client.post(TICKET, json={"filename": "x", "size": 20_001})
        assert (ticket.status_code, "size" in ticket.json()["message"]) == (413, True)


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
async def test_what_is_no_form_is_refused(redis_url: str, content_type: str) -> None:
    """Before anything is sent, by the header's name."""
    upstream = Upstream()
    async with before(redis_url, upstream) as gateway:
        answer = await gateway.client.post(BINARY, content=b"x", headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, "Content-Type")
    assert upstream.heads == []


@pytest.mark.parametrize("body", BAD_TICKETS)
async def test_a_wrong_ticket_is_refused(redis_url: str, body: dict[str, Any]) -> None:
    """Before anything is sent, by the field's name."""
    upstream = Upstream()
    async with before(redis_url, upstream) as gateway:
        answer = await gateway.client.post(TICKET, json=body)
    assert (answer.status_code, answer.json()["message"].partition(":")[0] in ("filename", "size")) == (400, True)
    assert upstream.heads == []


@pytest.mark.parametrize("path", [TICKET, BINARY])
@pytest.mark.parametrize(
    ("status", "body", "answered"),
    [
        (400, {"code": 400, "message": "file: not an image"}, (400, "file: not an image")),
        (200, {"code": 422, "message": "too small"}, (422, "too small")),
        (429, {"code": 429, "message": "slow down"}, (429, "slow down")),
        (401, {"code": 401, "message": "bad key"}, (503, "")),
        (402, {"code": 402, "message": "no credit"}, (503, "")),
        (500, {"code": 500, "message": "oops"}, (503, "")),
        (200, {"unreadable": True}, (503, "")),
    ],
)
async def test_what_upstream_says_is_told(
    redis_url: str, path: str, status: int, body: dict[str, Any], answered: tuple[int, str]
) -> None:
    """Its refusals as they are, but never its complaint about the company's account; its troubles as a 503."""
    upstream = Upstream(status, body)
    async with before(redis_url, upstream) as gateway:
        if path == TICKET:
            answer = await gateway.client.post(path, json={"filename": "x", "size": 1})
        else:
            answer = await gateway.client.post(path, files={"file": b"x"})
    assert (answer.status_code, answer.json()["code"]) == (answered[0], answered[0])
    assert answered[1] in answer.json()["message"]
    assert "bad key" not in answer.text
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


async def test_uploads_of_a_tenant_are_bounded(redis_url: str, simulator: Running) -> None:
    """One too many is a 429; when one has gone, there is room again."""
    upstream = Upstream(stalled=asyncio.Event())
    async with before(redis_url, upstream) as gateway:
        uploads = [asyncio.create_task(gateway.client.post(BINARY, files={"file": b"x"})) for _ in range(8)]
        await wait_until(lambda: len(upstream.heads) == 8, what="eight uploads")
        refused = await gateway.client.post(BINARY, files={"file": b"x"})
        assert (refused.status_code, "uploads open" in refused.json()["message"]) == (429, True)
        upstream.stalled.set()  # type: ignore[union-attr]
        assert {(await upload).status_code for upload in uploads} == {200}
        assert (await gateway.client.post(BINARY, files={"file": b"x"})).status_code == 200


async def test_a_caller_who_hangs_up_ends_the_upload(redis_url: str) -> None:
    """WaveSpeed gets no whole file, and the place is free."""
    upstream = Upstream()
    async with before(redis_url, upstream) as gateway, serving(gateway.app) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [f"POST {BINARY} HTTP/1.1", "host: x", f"authorization: Bearer {gateway.key}"]
        head += ["content-type: multipart/form-data; boundary=b", "content-length: 1000", "", "x"]
        writer.write("\r\n".join(head).encode())
        await wait_until(lambda: upstream.heads, what="the upload")
        writer.transport.abort()
        for _ in range(8):
            assert (await gateway.client.post(BINARY, files={"file": b"x"})).status_code == 200
