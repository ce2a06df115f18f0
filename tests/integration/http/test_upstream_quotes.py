"""An upstream that quotes what it was sent: our key stays here, and a prompt stays out of the log."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import structlog
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.server import Server, bind
from tests.integration.http.gateway import Gateway, open_gateway, settings
from tests.waiting import wait_until

KEY: Final = "sk-a-key-that-nobody-may-see"
PROMPT: Final = "the prompt nobody else may read"


async def _echo(request: Request) -> Response:
    """Refuse, or fail, in words that hold the key and the prompt."""
    quote = f"{request.headers['authorization']} may not: {(await request.body()).decode()}"
    if request.method == "GET":
        task = {"id": "task-0001", "status": "failed", "error": quote, "outputs": [], "input": {"key": quote}}
        return JSONResponse({"code": 200, "message": quote, "data": task})
    if "accept" in quote:
        return JSONResponse({"code": 200, "message": "success", "data": {"id": "task-0001", "status": "created"}})
    status = int(request.headers.get("x-client-version", "400"))
    return JSONResponse({"code": 5000 if status == 200 else status, "message": quote}, status)


@pytest.fixture
async def echoing(redis_url: str) -> AsyncIterator[Gateway]:
    """A gateway before such an upstream."""
    listening = bind("127.0.0.1", 0)
    server = Server(Starlette(routes=[Route("/{path:path}", _echo, methods=["GET", "POST"])]), drain_s=1.0)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until(lambda: server.started, what="the upstream listens")
    try:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with open_gateway(settings(redis_url, url, wavespeed_api_key=SecretStr(KEY))) as gateway:
            yield gateway
    finally:
        server.stop()
        await serving


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 422, 429])
async def test_a_refusal_that_quotes_tells_nothing(echoing: Gateway, status: int) -> None:
    """Neither the caller nor the log gets our key, and the log gets no prompt, whatever the refusal says."""
    with structlog.testing.capture_logs() as logged:
        answer = await echoing.client.post(
            "/api/v3/openai/sora-2", json={"prompt": PROMPT}, headers={"x-client-version": str(status)}
        )
    assert (answer.status_code >= 400) is (status != 429)  # for want of capacity it waits
    assert KEY not in answer.text
    assert KEY not in str(logged)
    assert PROMPT not in str(logged)


async def test_a_task_that_quotes_is_kept_without_the_key(echoing: Gateway) -> None:
    """What the upstream says of a task is stored and shown without our key."""
    with structlog.testing.capture_logs() as logged:
        answer = await echoing.submit(f"accept {PROMPT}")
        prediction_id = answer.json()["data"]["id"]
        assert await echoing.resources.look(prediction_id, "0") == "ended"
        result = await echoing.result(prediction_id)
    assert result["status"] == "failed"
    assert "**********" in result["error"]
    assert KEY not in str(result)
    assert KEY not in str(logged)
    assert PROMPT not in str(logged)
    stored = await echoing.resources.commands("HGETALL", f"bw:prediction:{prediction_id}")
    assert KEY not in repr(stored)


async def test_an_answer_with_another_prediction_s_task_proves_nothing(echoing: Gateway) -> None:
    """Two submissions given one task id: the first owns it, the second is looked for, and neither is sent again."""
    first, second = [(await echoing.submit(f"accept {number}")).json()["data"]["id"] for number in (1, 2)]
    states = [await echoing.resources.predictions.load(each) for each in (first, second)]
    assert [found.state.value if found else "" for found in states] == ["created", "unconfirmed"]
