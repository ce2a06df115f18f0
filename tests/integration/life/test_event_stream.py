"""`GET /v1/predictions/{id}/events` on a real socket: nothing missed, nothing twice, nothing left open."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import pytest
from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.domain.moves import observed
from service.domain.predictions import Observation
from service.http.access_log import AccessLog
from service.http.authentication import authenticated
from service.http.native.event_stream import EventStreamHandler
from service.http.streaming import PiecewiseResponse
from tests.fault_proxy import FaultProxy
from tests.integration.life.life import Life, open_life
from tests.integration.life.online import Online, online
from tests.integration.simulator.running import Running
from tests.waiting import wait_until

Event = tuple[int, str, dict[str, Any]]

IN_ORDER: Final = [(1, "prediction.processing"), (2, "prediction.completed")]


@pytest.fixture
async def served(life: Life) -> AsyncIterator[Online]:
    """A life whose gateway is on a port."""
    async with online(life) as served:
        yield served


def path_of(prediction_id: str) -> str:
    """Where its events are."""
    return f"/v1/predictions/{prediction_id}/events"


@asynccontextmanager
async def stream(served: Online, prediction_id: str, after: int | None = None) -> AsyncIterator[AsyncIterator[str]]:
    """The blocks of an open stream: events, comments, and what else there is between two empty lines."""
    headers = {} if after is None else {"last-event-id": str(after)}
    async with served.client.stream("GET", path_of(prediction_id), headers=headers) as answer:
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _blocks(answer)


async def _blocks(answer: httpx2.Response) -> AsyncIterator[str]:
    text = ""
    async for piece in answer.aiter_text():
        text += piece
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            yield block
    assert text == ""


def read(block: str) -> Event:
    """An event: its id, its type, its data."""
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    return int(lines["id"]), lines["event"], from_json(lines["data"])


def numbered(blocks: Sequence[str]) -> list[tuple[int, str]]:
    """Id and type of the events among these blocks."""
    return [read(block)[:2] for block in blocks if block.startswith("id:")]


async def processing(life: Life, prediction_id: str) -> None:
    """Have the upstream say that it works on it."""
    await _observe(life, prediction_id, Observation("running", "processing", {}))


async def completed(life: Life, prediction_id: str) -> None:
    """Have it complete."""
    await _observe(life, prediction_id, Observation("completed", "completed", {"outputs": ["https://cdn.example/1"]}))


async def _observe(life: Life, prediction_id: str, seen: Observation) -> None:
    await life.resources.submit.transition(await life.load(prediction_id), lambda p, now: observed(p, seen, now))


async def test_events_arrive_as_they_happen(served: Online) -> None:
    """Each once, with its sequence as id and a callback's body as data; the stream ends with the prediction."""
    prediction_id = await served.life.submit()
    async with stream(served, prediction_id) as blocks:
        assert await anext(blocks) == "retry: 2000"
        await processing(served.life, prediction_id)
        number, kind, body = read(await anext(blocks))
        assert (number, kind, body["type"], body["data"]["id"]) == (1, *(2 * ("prediction.processing",)), prediction_id)
        await completed(served.life, prediction_id)
        number, kind, body = read(await anext(blocks))
        assert (number, kind, body["data"]["status"]) == (2, "prediction.completed", "completed")
        assert await anext(blocks, None) is None
    await wait_until(lambda: served.held == 0, what="its place to be free")


@pytest.mark.parametrize(("after", "expected"), [(None, IN_ORDER), (0, IN_ORDER), (1, IN_ORDER[1:])])
async def test_what_was_missed_is_told_again(
    served: Online, after: int | None, expected: list[tuple[int, str]]
) -> None:
    """From the first event on, or from the one that was seen last."""
    prediction_id = await served.life.submit()
    await processing(served.life, prediction_id)
    await completed(served.life, prediction_id)
    async with stream(served, prediction_id, after) as blocks:
        assert numbered([block async for block in blocks]) == expected


async def test_nothing_more_to_tell_is_a_204(served: Online) -> None:
    """So that an EventSource does not come back for ever."""
    prediction_id = await served.life.submit()
    await completed(served.life, prediction_id)
    answer = await served.client.get(path_of(prediction_id), headers={"last-event-id": "1"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert served.held == 0


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "1" * 10, "²"])
async def test_an_id_that_is_none_is_refused(served: Online, given: str) -> None:
    """A 400 that names the header, or the query parameter that stands for it, also where the other one is fine."""
    prediction_id = await served.life.submit()
    headers = [(b"last-event-id", given.encode())]
    answer = await served.client.get(path_of(prediction_id), headers=headers, params={"after": "1"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Last-Event-ID")
    fine = {"last-event-id": "1"}
    answer = await served.client.get(path_of(prediction_id), headers=fine, params={"after": given})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "after")


async def test_another_tenant_s_events_are_not_there(served: Online) -> None:
    """404, as for one that never was."""
    prediction_id = await served.life.submit()
    foreign = {"authorization": f"Bearer {await served.life.gateway.key_of('rival')}"}
    assert (await served.client.get(path_of(prediction_id), headers=foreign)).status_code == 404
    assert (await served.client.get(path_of("0" * 32))).status_code == 404
    assert served.held == 0


def impatient(life: Life, **fields: float) -> Starlette:
    """Streams with times of their own."""
    resources = life.resources
    handler = EventStreamHandler(resources.authenticate, resources.feed, resources.predictions, **fields)
    route = Route(path_of("{id}"), authenticated(resources.authenticate, handler))
    return Starlette(routes=[route], middleware=[Middleware(AccessLog, metrics=resources.metrics)])


async def test_silence_is_filled_with_comments(life: Life) -> None:
    """So that nothing on the way takes the stream for dead; a comment is no event."""
    prediction_id = await life.submit()
    async with online(life, impatient(life, heartbeat_s=0.01)) as served, stream(served, prediction_id) as blocks:
        assert [await anext(blocks) for _ in range(3)] == ["retry: 2000", ":", ":"]
        await completed(life, prediction_id)
        assert numbered([block async for block in blocks]) == [(1, "prediction.completed")]


async def test_a_lost_subscription_loses_no_event(redis_url: str, redis_proxy: FaultProxy, simulator: Running) -> None:
    """What happened while Redis was away is read from the log when the connection is back."""
    async with open_life(redis_proxy.url, simulator) as life, online(life) as served:
        await wait_until(lambda: life.resources.feed.subscribed, what="the subscription")
        prediction_id = await life.submit()
        async with stream(served, prediction_id) as blocks:
            await anext(blocks)
            redis_proxy.refuse()
            await redis_proxy.cut()
            await wait_until(lambda: not life.resources.feed.subscribed, what="the loss to be noticed")
            async with open_life(redis_url, simulator) as other:  # it moves on elsewhere
                await completed(other, prediction_id)
            await redis_proxy.listen()
            assert read(await anext(blocks))[:2] == (1, "prediction.completed")


async def test_a_stream_outlives_an_outage(redis_url: str, redis_proxy: FaultProxy, simulator: Running) -> None:
    """Comments go on while Redis is away, even when the key would have to be looked up; then comes what was missed."""
    async with open_life(redis_proxy.url, simulator) as life:
        prediction_id = await life.submit()
        async with online(life, impatient(life, heartbeat_s=0.01)) as served, stream(served, prediction_id) as blocks:
            assert await anext(blocks) == "retry: 2000"
            redis_proxy.refuse()
            await redis_proxy.cut()
            life.resources.authenticate.cache.clear()
            assert [await anext(blocks) for _ in range(3)] == [":"] * 3
            async with open_life(redis_url, simulator) as other:
                await completed(other, prediction_id)
            await redis_proxy.listen()
            assert numbered([block async for block in blocks]) == [(1, "prediction.completed")]


@pytest.mark.parametrize("heartbeat_s", [0.01, 60.0])
async def test_a_revoked_key_hears_nothing_more(life: Life, heartbeat_s: float) -> None:
    """The stream ends by itself, and before the next event is told."""
    prediction_id = await life.submit()
    async with online(life, impatient(life, heartbeat_s=heartbeat_s)) as served:
        async with stream(served, prediction_id) as blocks:
            await processing(life, prediction_id)
            while not (await anext(blocks)).startswith("id: 1"):
                pass
            [key] = await life.resources.administer.list_keys("acme")
            await life.resources.administer.revoke_key("acme", key.id)
            life.resources.authenticate.cache.clear()  # as when it has been remembered for long enough
            if heartbeat_s > 1:
                await completed(life, prediction_id)
            assert numbered([block async for block in blocks]) == []
        await wait_until(lambda: served.held == 0, what="its place to be free")


async def test_one_subscription_serves_all_streams(redis_url: str, life: Life) -> None:
    """However many streams are open, the process has one connection that listens, and no stream has one of its own."""
    async with online(life) as served:
        ids = [await life.submit() for _ in range(3)]
        before = await _connections(life)
        opened = [await served.raw(f"GET {path_of(ids[n % 3])}") for n in range(30)]
        for reader, _ in opened:
            await reader.readuntil(b"retry: 2000\n\n")
        assert served.held == 30
        assert await _connections(life) == before
        await life.cancel(ids[0])
        ends = await asyncio.gather(*(reader.readuntil(b"canceled by its tenant") for reader, _ in opened[::3]))
        assert len(ends) == 10
        await wait_until(lambda: served.held == 20, what="ten streams to end")
        for _, writer in opened:
            writer.transport.abort()
        await wait_until(lambda: served.held == 0, what="all places to be free")


async def _connections(life: Life) -> int:
    """Subscribed connections at the server."""
    clients: bytes = await life.resources.commands("CLIENT", "LIST")
    return sum(b" sub=1 " in line for line in clients.splitlines())


async def test_a_stream_leaves_nothing_behind(served: Online) -> None:
    """All of it is freed by reference counts: the gateway has cycles looked for only rarely, and relies on that."""
    prediction_id = await served.life.submit()
    opened = [await served.raw(f"GET {path_of(prediction_id)}") for _ in range(20)]
    for reader, _ in opened:
        await reader.readuntil(b"retry: 2000\n\n")
    gc.collect()
    gc.disable()
    try:
        assert _parts_of_streams() >= 40
        for _, writer in opened:
            writer.transport.abort()
        await wait_until(lambda: served.held == 0, what="all places to be free")
        await wait_until(lambda: _parts_of_streams() == 0, what="all parts of them to be gone")
    finally:
        gc.enable()


def _parts_of_streams() -> int:
    """What there is of connections' requests and of answers sent piece by piece."""
    return sum(type(one) in (RequestResponseCycle, PiecewiseResponse) for one in gc.get_objects())


async def test_streams_of_a_tenant_are_bounded(redis_url: str, simulator: Running) -> None:
    """One too many is a 429 that says so; another tenant's is not affected."""
    async with open_life(redis_url, simulator, tenant_streams=2) as life, online(life) as served:
        prediction_id = await life.submit()
        opened = [await served.raw(f"GET {path_of(prediction_id)}") for _ in range(2)]
        await wait_until(lambda: served.held == 2, what="two streams")
        refused = await served.client.get(path_of(prediction_id))
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open")
        assert int(refused.headers["retry-after"]) > 0
        key = await life.gateway.key_of("rival")
        theirs = await life.submit(tenant_key=key)
        headers = {"authorization": f"Bearer {key}"}
        async with served.client.stream("GET", path_of(theirs), headers=headers) as answer:
            assert answer.status_code == 200
        for _, writer in opened:
            writer.transport.abort()


async def test_a_stream_ends_with_its_gateway(served: Online) -> None:
    """A gateway that stops ends its streams whole, at once; the client comes back elsewhere."""
    prediction_id = await served.life.submit()
    async with stream(served, prediction_id) as blocks:
        await anext(blocks)
        served.server.stop()
        assert [block async for block in blocks] == []


async def test_a_deleted_prediction_s_stream_ends(served: Online) -> None:
    """Nothing more is told of it."""
    prediction_id = await served.life.submit()
    async with stream(served, prediction_id) as blocks:
        await anext(blocks)
        assert (await served.client.delete(f"/v1/predictions/{prediction_id}")).status_code == 204
        assert [block async for block in blocks] == []
    assert (await served.client.get(path_of(prediction_id))).status_code == 404


async def test_who_reads_no_more_is_cut_off(life: Life) -> None:
    """What waits to be read is bounded: the connection is ended, and its place is free."""
    prediction_id = await life.submit()
    async with online(life, impatient(life, heartbeat_s=0.0, write_s=0.1), send_buffer=2048) as served:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.connect(("127.0.0.1", served.port))
        head = f"GET {path_of(prediction_id)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {life.gateway.key}\r\n\r\n"
        deaf.sendall(head.encode())
        await wait_until(lambda: served.held == 1, what="the stream")
        await wait_until(lambda: served.held == 0, what="the cut")
        deaf.close()
