"""Outputs through the gateway: as a download on the native face, in base64 on WaveSpeed's."""

import asyncio
import gzip
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from service.domain.moves import observed
from service.domain.predictions import Observation
from tests.integration.life.life import Life, open_life
from tests.integration.life.online import online, serving
from tests.integration.simulator.running import MODEL, Running
from tests.waiting import wait_until

VIDEO: Final = bytes(range(256)) * 40
"""What storage keeps; its length is no multiple of three, so that its base64 is padded."""

HOSTILE: Final = "text/html"

NUMBERS: Final = (0, 1, 2, 3, 4, -1, "x", "٣", "1" * 9)

ELSEWHERE: Final = ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254", "cdn.example")


@dataclass(slots=True)
class Storage:
    """Where outputs are kept: answers what it is told to, and remembers what it was asked."""

    url: str = ""
    status: int = 200
    asked: list[Request] = field(default_factory=list)
    forever: bool = False
    gzipped: bool = False

    async def __call__(self, request: Request) -> Response:
        """One file, or the part that is asked for."""
        self.asked.append(request)
        if self.status != 200:
            return Response("<Error/>", self.status, {"location": "http://127.0.0.1/", "x-internal": "1"})
        if self.forever:
            return StreamingResponse(self._endless(), media_type="video/mp4")
        if self.gzipped:
            return Response(gzip.compress(VIDEO), headers={"content-encoding": "gzip"}, media_type=HOSTILE)
        if request.headers.get("if-none-match") == '"v1"':
            return Response(status_code=304, headers={"etag": '"v1"'})
        return Response(VIDEO, headers={"etag": '"v1"', "set-cookie": "a=b", "x-internal": "1"}, media_type=HOSTILE)

    @staticmethod
    async def _endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65_536)
            await asyncio.sleep(0)


@asynccontextmanager
async def storage_of(redis_url: str, simulator: Running, **fields: Any) -> AsyncIterator[tuple[Life, Storage]]:
    """A life beside a storage; fields are settings."""
    storage = Storage()
    app = Starlette(routes=[Route("/{name}", storage.__call__)])
    async with serving(app) as (_, port), open_life(redis_url, simulator, **fields) as life:
        storage.url = f"http://127.0.0.1:{port}"
        yield life, storage


@pytest.fixture
async def kept(redis_url: str, simulator: Running) -> AsyncIterator[tuple[Life, Storage]]:
    """A life beside a storage it may fetch from."""
    async with storage_of(redis_url, simulator, output_hosts="127.0.0.1/32") as both:
        yield both


async def completed(life: Life, *outputs: Any, encoded: bool = False) -> str:
    """A prediction that came to these outputs; its id."""
    submission = {"prompt": "a wave", "enable_base64_output": encoded}
    answer = await life.gateway.client.post(f"/api/v3/{MODEL}", json=submission)
    prediction_id = str(answer.json()["data"]["id"])
    seen = Observation("completed", "completed", {"outputs": list(outputs)})
    await life.resources.submit.transition(await life.load(prediction_id), lambda p, now: observed(p, seen, now))
    return prediction_id


def content(prediction_id: str, number: int | str = 0) -> str:
    """Where an output is."""
    return f"/v1/predictions/{prediction_id}/content/{number}"


async def test_a_video_is_downloaded_through_the_gateway(life: Life) -> None:
    """The very bytes the upstream made, from its own origin without being listed: whole, in parts, or the head."""
    prediction_id = await life.submit()
    life.finish(all=True)
    await life.pass_time(120)
    [url] = (await life.native(prediction_id))["outputs"]
    async with life.simulator.client() as upstream:
        original = (await upstream.get(url)).content
    client = life.gateway.client
    whole = await client.get(content(prediction_id))
    assert (whole.status_code, whole.content) == (200, original)
    assert (whole.headers["content-type"], whole.headers["content-length"]) == ("video/mp4", str(len(original)))
    part = await client.get(content(prediction_id), headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, original[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(original)}"
    beyond = await client.get(content(prediction_id), headers={"range": f"bytes={len(original)}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "no_such_part")
    assert beyond.headers["content-range"] == f"bytes */{len(original)}"
    head = await client.head(content(prediction_id))
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(original)), b"")


async def test_only_what_a_caller_needs_passes(kept: tuple[Life, Storage]) -> None:
    """Neither key nor cookies go to storage, none of its own headers come back, and no page runs as the gateway's."""
    life, storage = kept
    prediction_id = await completed(life, f"{storage.url}/page")
    asked = {"range": "bytes=0-", "if-none-match": '"v2"', "cookie": "a=b", "accept-encoding": "gzip"}
    answer = await life.gateway.client.get(content(prediction_id), headers=asked)
    assert (answer.status_code, answer.content) == (200, VIDEO)
    sent = storage.asked[0].headers
    assert {name: sent.get(name) for name in asked} == {
        "range": "bytes=0-", "if-none-match": '"v2"', "cookie": None, "accept-encoding": "identity"
    }  # fmt: skip
    assert "authorization" not in sent
    assert not {"set-cookie", "x-internal"} & set(answer.headers)
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    unchanged = await life.gateway.client.get(content(prediction_id), headers={"if-none-match": '"v1"'})
    assert (unchanged.status_code, unchanged.headers["etag"], unchanged.content) == (304, '"v1"', b"")


async def test_how_a_file_is_encoded_is_told(kept: tuple[Life, Storage]) -> None:
    """Storage that keeps a file compressed sends it so, whatever it is asked: a caller can still read it."""
    life, storage = kept
    storage.gzipped = True
    answer = await life.gateway.client.get(content(await completed(life, f"{storage.url}/a")))
    assert (answer.status_code, answer.headers["content-encoding"], answer.content) == (200, "gzip", VIDEO)


async def test_what_there_is_not_is_said(kept: tuple[Life, Storage]) -> None:
    """Before the end a conflict; after it no such output; another tenant's or a text are none."""
    life, storage = kept
    client = life.gateway.client
    going = await life.submit()
    assert (await client.get(content(going))).json()["code"] == "conflict"
    prediction_id = await completed(life, f"{storage.url}/a", "a text", {"url": f"{storage.url}/b"}, {"caption": "x"})
    statuses = [
        (await client.get(content(prediction_id, n))).status_code for n in (0, 1, 2, 3, 4, -1, "x", "٣", "1" * 9)
    ]
    assert statuses == [200, 404, 200, 404, 404, 404, 404, 404, 404]
    foreign = {"authorization": f"Bearer {await life.gateway.key_of('rival')}"}
    assert (await client.get(content(prediction_id), headers=foreign)).status_code == 404
    await life.cancel(going)
    assert (await client.get(content(going))).status_code == 404


@pytest.mark.parametrize(
    ("status", "answered"),
    [(404, (410, "output_gone")), (403, (410, "output_gone")), (500, (503, "upstream_unreadable")),
     (302, (503, "upstream_unreadable")), (206, (206, None))],
)  # fmt: skip
async def test_trouble_of_storage_is_told_in_our_words(
    kept: tuple[Life, Storage], status: int, answered: tuple[int, str | None]
) -> None:
    """Gone, or to be tried again; never its error page, and never somewhere else."""
    life, storage = kept
    storage.status = status
    prediction_id = await completed(life, f"{storage.url}/a")
    answer = await life.gateway.client.get(content(prediction_id))
    assert answer.status_code == answered[0]
    assert answered[1] is None or answer.json()["code"] == answered[1]
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254", "cdn.example"]
)
async def test_nothing_is_fetched_from_elsewhere(redis_url: str, simulator: Running, host: str) -> None:
    """An output somewhere the operators did not list is a 502 that names the setting; no connection is made."""
    async with storage_of(redis_url, simulator) as (life, storage):
        prediction_id = await completed(life, storage.url.replace("127.0.0.1", host) + "/a")
        answer = await life.gateway.client.get(content(prediction_id))
        assert (answer.status_code, answer.json()["code"]) == (502, "output_denied")
        assert "BREAKWATER_OUTPUT_HOSTS" in answer.json()["detail"]
        assert storage.asked == []


async def test_who_hangs_up_or_stops_reading_ends_the_download(kept: tuple[Life, Storage]) -> None:
    """An endless file takes no more from storage than its reader makes room for."""
    life, storage = kept
    storage.forever = True
    prediction_id = await completed(life, f"{storage.url}/a")
    places = life.resources.outputs.places
    async with online(life) as served:
        reader, writer = await served.raw(f"GET {content(prediction_id)}")
        await reader.readuntil(b"\r\n\r\n")
        assert len(places) == 1
        writer.transport.abort()
        await wait_until(lambda: len(places) == 0, what="the download to end")


async def test_base64_is_what_is_asked_for(life: Life) -> None:
    """In the answer of synchronous mode and in every reading, the outputs are the files; our own face has the URLs."""
    submission = {"prompt": "a wave", "enable_sync_mode": True, "enable_base64_output": True}
    request = asyncio.create_task(life.gateway.client.post(f"/api/v3/{MODEL}", json=submission))
    await wait_until(lambda: len(life.resources.feed.places) == 1, what="the wait")
    life.finish(all=True)
    await life.pass_time(120)
    answer = (await request).json()
    data = answer["data"]
    [url] = (await life.native(data["id"]))["outputs"]
    async with life.simulator.client() as upstream:
        original = (await upstream.get(url)).content
    assert (answer["code"], data["status"], set(answer)) == (200, "completed", {"code", "message", "data"})
    assert b64decode(data["outputs"][0], validate=True) == original
    assert await life.gateway.result(data["id"]) == data


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, len(VIDEO)])
async def test_base64_is_right_at_every_length(
    kept: tuple[Life, Storage], length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the pieces fall; and what is no file stays as it is."""
    life, storage = kept
    monkeypatch.setitem(globals(), "VIDEO", VIDEO[:length])
    prediction_id = await completed(life, f"{storage.url}/a", "a text", {"url": f"{storage.url}/b"}, encoded=True)
    first, text, second = (await life.gateway.result(prediction_id))["outputs"]
    assert (b64decode(first, validate=True), text, b64decode(second, validate=True)) == (VIDEO, "a text", VIDEO)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 302])
async def test_while_a_file_cannot_be_had_a_client_waits(kept: tuple[Life, Storage], status: int) -> None:
    """The reading stays a 200, and says `processing`: an error would end the wait of half of the clients."""
    life, storage = kept
    prediction_id = await completed(life, f"{storage.url}/a", encoded=True)
    storage.status = status
    data = await life.gateway.result(prediction_id)
    assert (data["status"], data["outputs"]) == ("processing", [])
    storage.status = 200
    data = await life.gateway.result(prediction_id)
    assert (data["status"], len(data["outputs"])) == ("completed", 1)


async def test_a_file_that_may_not_be_had_fails(redis_url: str, simulator: Running) -> None:
    """No waiting would help: `failed`, with the setting that decides in the text."""
    async with storage_of(redis_url, simulator) as (life, storage):
        data = await life.gateway.result(await completed(life, f"{storage.url}/a", encoded=True))
        assert (data["status"], data["outputs"]) == ("failed", [])
        assert "BREAKWATER_OUTPUT_HOSTS" in data["error"]


async def test_a_broken_download_is_seen_to_be_broken(kept: tuple[Life, Storage]) -> None:
    """An answer that cannot be finished ends in a cut connection, never in what looks whole."""
    life, storage = kept
    storage.forever = True
    prediction_id = await completed(life, f"{storage.url}/a")
    async with online(life) as served, served.client.stream("GET", content(prediction_id)) as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        storage.asked[0].scope["breakwater.abort"]()
        with pytest.raises(httpx2.RemoteProtocolError):
            async for _ in pieces:
                pass
