"""What callers do to connections, over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.server import Server, bind
from tests.integration.http.gateway import Gateway, posts_seen
from tests.integration.simulator.running import MODEL, Running
from tests.waiting import wait_until


@pytest.fixture
async def port(gateway: Gateway) -> AsyncIterator[int]:
    """Where the gateway listens."""
    server = Server(gateway.app, drain_s=1.0)
    listening = bind("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until(lambda: server.started, what="the gateway listens")
    yield listening.getsockname()[1]
    server.stop()
    await serving


def head(gateway: Gateway, length: int) -> bytes:
    """The head of a submission."""
    lines = [f"POST /api/v3/{MODEL} HTTP/1.1", "host: gateway", f"authorization: Bearer {gateway.key}"]
    return "\r\n".join([*lines, f"content-length: {length}", "", ""]).encode()


def answered(gateway: Gateway, status: str) -> float:
    """How many submissions were counted with a status; "" for any."""
    return sum(
        sample.value
        for metric in gateway.resources.metrics.http_requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["status"].startswith(status)
    )


async def test_a_caller_who_hangs_up_before_the_answer_changes_nothing(
    gateway: Gateway, simulator: Running, port: int
) -> None:
    """Once the body is here the submission goes its way: posted once, written down, readable."""
    body = b'{"prompt": "[sim:delay=0.2] a wave"}'
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(gateway, len(body)) + body)
    await wait_until(lambda: gateway.resources.submit.running, what="the POST is under way")
    writer.transport.abort()
    await wait_until(lambda: not gateway.resources.submit.running, what="the POST has ended")
    [task] = simulator.seen()["submissions"]
    assert await gateway.resources.commands("GET", f"bw:upstream:{task['id']}")
    assert posts_seen(simulator) == 1


async def test_a_caller_who_hangs_up_in_mid_body_is_no_crash(
    gateway: Gateway, simulator: Running, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent, nothing is counted as our failure, and no traceback is logged."""
    before = answered(gateway, "")
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(gateway, 100) + b'{"prompt"')
    await writer.drain()
    await wait_until(lambda: gateway.resources.authenticate.cache, what="the request is taken")
    writer.close()
    await wait_until(lambda: answered(gateway, "") > before, what="the request has ended")
    assert posts_seen(simulator) == 0
    assert answered(gateway, "5") == 0
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("path", ["/v1/endpoints/", "/docs/"])
async def test_nobody_is_sent_where_a_header_says(gateway: Gateway, path: str) -> None:
    """A path with a slash too many is unknown: an answer never repeats the Host header, nor leaves TLS."""
    answer = await gateway.client.get(path, headers={"host": "evil.example"})
    assert answer.status_code in (404, 405)
    assert "location" not in answer.headers


@pytest.mark.parametrize("length", [b"-1", b"\xb2", b"1, 2", b"9" * 30])
async def test_an_impossible_length_never_reaches_the_routes(port: int, simulator: Running, length: bytes) -> None:
    """400 or 413, not a crash."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /api/v3/%s HTTP/1.1\r\nhost: x\r\ncontent-length: %s\r\n\r\n" % (MODEL.encode(), length))
    status = int((await reader.readline()).split()[1])
    writer.close()
    assert 400 <= status < 500
    assert posts_seen(simulator) == 0
