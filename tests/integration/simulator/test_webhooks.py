"""The double calls back as WaveSpeed does."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx2
import pytest
from pydantic_core import from_json

from tests.integration.simulator.running import MODEL, START_S, VIDEO_S, Running
from tests.journeys.system import Callback, Receiver
from tests.waiting import wait_until


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """A receiver that accepts everything; a refusal is retried almost at once."""
    monkeypatch.setattr("simulator.webhooks.RETRY_DELAYS_S", (0.01, 0.01, 0.01))
    async with Receiver().running() as receiver:
        yield receiver


async def submit(client: httpx2.AsyncClient, receiver: Receiver, prompt: str) -> str:
    """Submit with a callback; the run's id."""
    webhook = quote(f"{receiver.url}/done?token=a b&c=d", safe="")
    answer = await client.post(f"/api/v3/{MODEL}?webhook={webhook}", json={"prompt": prompt})
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["data"]["id"]
    return task_id


async def verify(client: httpx2.AsyncClient, callback: Callback) -> None:
    """Check a signature with nothing but the secret that the account shows."""
    secret = (await client.get("/api/v3/webhook/secret")).json()["data"]["secret"]
    assert secret.startswith("whsec_")
    signed = f"{callback.headers['webhook-id']}.{callback.headers['webhook-timestamp']}.".encode() + callback.body
    expected = hmac.new(secret.removeprefix("whsec_").encode(), signed, hashlib.sha256).hexdigest()
    assert callback.headers["webhook-signature"] == f"v3,{expected}"
    assert callback.headers["content-type"] == "application/json"


async def test_the_end_is_told_signed(client: httpx2.AsyncClient, simulator: Running, receiver: Receiver) -> None:
    """The bare prediction with its input, once it is completed and not before, under the run's id."""
    task_id = await submit(client, receiver, "a wave")
    await client.get(f"/api/v3/predictions/{task_id}")
    assert receiver.received == []
    simulator.clock.now_s += 2 * VIDEO_S
    await wait_until(lambda: receiver.received, what="the callback")
    [callback] = receiver.received
    await verify(client, callback)
    assert callback.headers["webhook-id"] == task_id
    assert callback.headers["webhook-timestamp"] == str(int(START_S + 2 * VIDEO_S))
    body = from_json(callback.body)
    assert (body["id"], body["status"], body["input"]) == (task_id, "completed", {"prompt": "a wave"})
    assert body["outputs"] == [f"{simulator.url}/outputs/{task_id}.mp4"]
    assert not {"code", "message", "data", "error"} & set(body)


async def test_a_failure_is_told_with_its_reason(
    client: httpx2.AsyncClient, simulator: Running, receiver: Receiver
) -> None:
    """An error and no outputs."""
    await submit(client, receiver, "[sim:fail] a wave")
    simulator.clock.now_s += 2 * VIDEO_S
    await wait_until(lambda: receiver.received, what="the callback")
    await verify(client, receiver.received[0])
    body = from_json(receiver.received[0].body)
    assert (body["status"], body["error"]) == ("failed", "model execution failed")
    assert "outputs" not in body


async def test_a_refused_callback_is_tried_three_times_more(
    client: httpx2.AsyncClient, simulator: Running, receiver: Receiver
) -> None:
    """Each try is signed and bears the same id; a redirect is no acceptance; then it is given up."""
    statuses = iter((500, 302, 429, 503))
    receiver.answer = lambda _: next(statuses, 204)
    task_id = await submit(client, receiver, "refused")
    other = await submit(client, receiver, "[sim:stuck] accepted")
    simulator.control("POST", "finish", id=task_id)
    await wait_until(lambda: len(receiver.received) == 4, what="every try")
    simulator.control("POST", "finish", id=other)
    await wait_until(lambda: receiver.received[-1].headers["webhook-id"] == other, what="the other run's callback")
    assert [c.headers["webhook-id"] for c in receiver.received] == [task_id] * 4 + [other]
    for callback in receiver.received:
        await verify(client, callback)


async def test_an_accepted_retry_is_the_last(
    client: httpx2.AsyncClient, simulator: Running, receiver: Receiver
) -> None:
    """The first 2xx ends it."""
    receiver.answer = lambda _: 500 if len(receiver.received) == 1 else 204
    first = await submit(client, receiver, "a wave")
    simulator.control("POST", "finish", id=first)
    await wait_until(lambda: len(receiver.received) == 2, what="the retry")
    second = await submit(client, receiver, "a wave")
    simulator.control("POST", "finish", id=second)
    await wait_until(lambda: len(receiver.received) == 3, what="the next run's callback")
    assert receiver.received[-1].headers["webhook-id"] == second


async def test_a_prompt_can_ask_for_two_callbacks_or_none(
    client: httpx2.AsyncClient, simulator: Running, receiver: Receiver
) -> None:
    """Duplicates and silence happen; both can be had."""
    silent = await submit(client, receiver, "[sim:no-webhook] a wave")
    twice = await submit(client, receiver, "[sim:webhook-twice] a wave")
    simulator.clock.now_s += 2 * VIDEO_S
    await wait_until(lambda: len(receiver.received) == 2, what="both callbacks")
    assert [c.headers["webhook-id"] for c in receiver.received] == [twice, twice]
    assert receiver.received[0].body == receiver.received[1].body
    assert (await client.get(f"/api/v3/predictions/{silent}")).json()["data"]["status"] == "completed"


async def test_a_receiver_that_is_not_there_disturbs_nothing(
    client: httpx2.AsyncClient, simulator: Running, receiver: Receiver
) -> None:
    """An address nobody answers at, and one that is no URL, are given up; other runs are told."""
    for url in ("http://127.0.0.1:9/", "not a url", "http://[broken"):
        answer = await client.post(f"/api/v3/{MODEL}", params={"webhook": url}, json={"prompt": "x"})
        assert answer.status_code == 200
    told = await submit(client, receiver, "a wave")
    simulator.control("POST", "finish", all=True)
    await wait_until(lambda: receiver.received, what="the callback")
    assert receiver.received[0].headers["webhook-id"] == told


async def test_another_secret_signs_from_now_on(
    client: httpx2.AsyncClient, simulator: Running, receiver: Receiver
) -> None:
    """Rotated, the account shows and signs with another secret; begun anew, with its first one."""
    first = (await client.get("/api/v3/webhook/secret")).json()["data"]["secret"]
    simulator.control("POST", "rotate-secret")
    assert (await client.get("/api/v3/webhook/secret")).json()["data"]["secret"] != first
    await submit(client, receiver, "a wave")
    simulator.clock.now_s += 2 * VIDEO_S
    await wait_until(lambda: receiver.received, what="the callback")
    await verify(client, receiver.received[0])
    simulator.control("POST", "reset")
    assert (await client.get("/api/v3/webhook/secret")).json()["data"]["secret"] == first


async def test_the_secret_can_be_kept_from_being_read(client: httpx2.AsyncClient, simulator: Running) -> None:
    """The route takes faults like any other."""
    simulator.arm("secret", "status", status=503)
    assert (await client.get("/api/v3/webhook/secret")).status_code == 503
    assert (await client.get("/api/v3/webhook/secret")).status_code == 200
