"""`breakwater listen`: what it answers, and what it passes on."""

import time

import httpx2
import pytest

from service.cli.listen import Reply, receiver
from service.domain.webhook_signature import new_secret, standard_headers
from tests.journeys.system import Receiver, free_port

BODY = b'{"type":"prediction.completed","timestamp":"2026-01-01T00:00:00.000Z","data":{"id":"p1","status":"completed"}}'
SECRET = new_secret()


async def post(reply: Reply, secret: str = SECRET) -> httpx2.Response:
    """Send it one callback."""
    transport = httpx2.ASGITransport(receiver((SECRET,), False, reply))
    headers = standard_headers((secret,), "evt_p1_1", int(time.time()), BODY)
    async with httpx2.AsyncClient(transport=transport, base_url="http://listen", trust_env=False) as client:
        return await client.post("/any/path", content=BODY, headers=headers)


@pytest.mark.parametrize("status", [204, 200, 410, 503])
async def test_it_answers_as_told(status: int) -> None:
    """To see what a receiver that fails gets."""
    assert (await post(Reply(status))).status_code == status


async def test_what_does_not_verify_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it was told to answer; the line says why."""
    assert (await post(Reply(200), new_secret())).status_code == 401
    assert "NOT VERIFIED" in capsys.readouterr().out


async def test_it_passes_on_what_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    """Body and headers as they came, so that the service can verify too; its answer is ours."""
    async with Receiver(answer=lambda _: 418).running() as service:
        answer = await post(Reply(forward_to=f"{service.url}/hook"))
        assert (answer.status_code, answer.text) == (418, "no")
        await post(Reply(forward_to=service.url), new_secret())
        (passed,) = service.received
        assert (passed.path, passed.body) == ("/hook", BODY)
        assert passed.headers["webhook-id"] == "evt_p1_1"
        assert passed.headers["webhook-signature"].startswith("v1,")
    assert "prediction.completed  p1  verified" in capsys.readouterr().out


async def test_a_service_that_is_not_there_is_a_502(capsys: pytest.CaptureFixture[str]) -> None:
    """So that the callback is tried again."""
    assert (await post(Reply(forward_to=f"http://127.0.0.1:{free_port()}/"))).status_code == 502
    assert "not forwarded" in capsys.readouterr().err
