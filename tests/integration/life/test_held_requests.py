"""Requests that are held until their prediction ends: synchronous mode on WaveSpeed's face, `Prefer: wait` on ours."""

import asyncio
from typing import Any

import httpx2
import pytest

from service.domain.json_forms import json_bytes
from tests.integration.life.life import Life, open_life
from tests.integration.life.online import Online, online
from tests.integration.simulator.running import MODEL, Running
from tests.waiting import wait_until

SYNC = {"prompt": "a wave", "enable_sync_mode": True}


async def held(life: Life, count: int = 1) -> None:
    """Wait until so many requests are held."""
    await wait_until(lambda: len(life.resources.feed.places) == count, what=f"{count} held requests")


async def ended(life: Life, request: "asyncio.Task[httpx2.Response]", status: str = "completed") -> dict[str, Any]:
    """End everything upstream while a request is held; its answer."""
    await held(life)
    assert not request.done()
    life.finish(all=True, status=status)
    await life.pass_time(120)
    answer = await request
    await held(life, 0)
    shown: dict[str, Any] = answer.json()
    return shown


@pytest.mark.parametrize(("status", "error"), [("completed", False), ("failed", True)])
async def test_synchronous_mode_answers_with_the_end(life: Life, status: str, error: bool) -> None:
    """The answer to the submission is the result, good or bad, in WaveSpeed's envelope."""
    request = asyncio.create_task(life.gateway.client.post(f"/api/v3/{MODEL}", json=SYNC))
    shown = await ended(life, request, status)
    assert (shown["code"], shown["data"]["status"], bool(shown["data"]["error"])) == (200, status, error)
    assert set(shown) == {"code", "message", "data"}
    assert len(shown["data"]["outputs"]) == (not error)
    assert shown["data"] == await life.gateway.result(shown["data"]["id"])


async def test_synchronous_mode_is_bounded(redis_url: str, simulator: Running) -> None:
    """When the wait is over the answer is a 200 with task code 5004 and `processing`, and the run goes on."""
    async with open_life(redis_url, simulator, max_wait_s=0.05) as life:
        answer = await life.gateway.client.post(f"/api/v3/{MODEL}", json=SYNC)
        data = answer.json()["data"]
        assert (answer.status_code, answer.json()["code"]) == (200, 200)
        assert (data["code"], data["status"], data["outputs"]) == (5004, "processing", [])
        assert data["error"].startswith("Sync mode timed out, ")
        assert data["error"].endswith(f" {data['urls']['get']}")
        read = await life.gateway.result(data["id"])
        assert ("code" in read, read["error"]) == (False, "")
        life.finish(all=True)
        await life.pass_time(120)
        assert (await life.gateway.result(data["id"]))["status"] == "completed"
        assert life.paid() == 1


@pytest.mark.parametrize("trouble", ["delay=1", "submit=lost", "submit=cut"])
async def test_synchronous_mode_is_bounded_while_wavespeed_is_silent(
    redis_url: str, simulator: Running, trouble: str
) -> None:
    """An answer that is late or lost is no error in this mode either: the same 200, with an id that can be read."""
    async with open_life(redis_url, simulator, answer_within_s=0.05, max_wait_s=0.05) as life:
        body = {"prompt": f"[sim:{trouble}] a calm", "enable_sync_mode": True}
        answer = await life.gateway.client.post(f"/api/v3/{MODEL}", json=body)
        data = answer.json()["data"]
        assert (answer.status_code, data["code"], data["status"]) == (200, 5004, "processing")
        assert (await life.gateway.result(data["id"]))["status"] == "created"
        assert life.paid() == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_wait_that_is_preferred_is_granted(life: Life, method: str) -> None:
    """The native face holds the answer until the end, and says for how long it would have."""
    headers = {"prefer": 'respond-async, wait="20"; strict'}
    if method == "POST":
        body = {"model": MODEL, "input": {"prompt": "a wave"}}
        request = life.gateway.client.post("/v1/predictions", json=body, headers=headers)
    else:
        request = life.gateway.client.get(f"/v1/predictions/{await life.submit()}", headers=headers)
    task = asyncio.create_task(request)
    shown = await ended(life, task)
    assert (shown["status"], len(shown["outputs"])) == ("completed", 1)
    assert (task.result().status_code, task.result().headers["preference-applied"]) == (
        202 if method == "POST" else 200,
        "wait=20",
    )


@pytest.mark.parametrize(
    ("prefer", "applied"), [("wait=0", None), ("wait=soon", None), ("respond-async", None), ("wait=7000", "wait=1")]
)
async def test_a_wait_is_never_longer_than_the_setting(
    redis_url: str, simulator: Running, prefer: str, applied: str | None
) -> None:
    """Too long a wish is granted in part, and says so; one that cannot be read is none."""
    async with open_life(redis_url, simulator, max_wait_s=1.9) as life:
        prediction_id = await life.submit()
        life.resources.feed.end()  # so that nothing is waited for here
        answer = await life.gateway.client.get(f"/v1/predictions/{prediction_id}", headers={"prefer": prefer})
        assert (answer.status_code, answer.json()["status"]) == (200, "created")
        assert answer.headers.get("preference-applied") == applied


async def test_what_has_ended_is_answered_at_once(life: Life) -> None:
    """Nobody waits for what has happened."""
    prediction_id = await life.submit()
    await life.cancel(prediction_id)
    async with asyncio.timeout(5):
        answer = await life.gateway.client.get(f"/v1/predictions/{prediction_id}", headers={"prefer": "wait=40"})
    assert answer.json()["status"] == "canceled"


async def test_past_a_tenant_s_bound_nobody_is_held(redis_url: str, simulator: Running) -> None:
    """One too many is answered at once, as if the wait were over: it has been paid for, so it is no error."""
    async with open_life(redis_url, simulator, tenant_streams=1) as life:
        first = asyncio.create_task(life.gateway.client.post(f"/api/v3/{MODEL}", json=SYNC))
        await held(life)
        async with asyncio.timeout(5):
            second = await life.gateway.client.post(f"/api/v3/{MODEL}", json=SYNC)
        assert (second.status_code, second.json()["data"]["code"]) == (200, 5004)
        await ended(life, first)


async def test_a_caller_who_hangs_up_is_waited_for_no_more(life: Life) -> None:
    """Its place is free at once, and the prediction goes on."""
    async with online(life) as served:
        _, writer = await served.raw(f"POST /api/v3/{MODEL}", b'{"prompt":"a wave","enable_sync_mode":true}')
        await held(life)
        writer.transport.abort()
        await held(life, 0)
        [task] = life.simulator.seen()["submissions"]
        assert task["status"] in ("created", "processing")


async def hang_up(served: Online, body: dict[str, Any]) -> None:
    """Submit, be held, and hang up without an answer."""
    _, writer = await served.raw(f"POST /api/v3/{MODEL}", json_bytes(body))
    await held(served.life)
    writer.transport.abort()

    await held(served.life, 0)


async def test_whoever_asks_again_takes_over_what_was_given_up(life: Life) -> None:
    """The copy of a request whose caller hung up is answered with the same prediction, and nothing is paid twice."""
    async with online(life) as served:
        await hang_up(served, SYNC)
        again = asyncio.create_task(served.client.post(f"/api/v3/{MODEL}", json=SYNC))
        shown = await ended(life, again)
        assert shown["data"]["status"] == "completed"
        assert life.paid() == 1
        more = asyncio.create_task(served.client.post(f"/api/v3/{MODEL}", json=SYNC))
        await held(life)  # it was handed out once: this is another
        assert life.paid() == 2
        life.finish(all=True)
        await life.pass_time(120)
        assert (await more).json()["data"]["id"] != shown["data"]["id"]


@pytest.mark.parametrize("other", ["input", "tenant", "not held", "it failed"])
async def test_nobody_else_takes_it_over(life: Life, other: str) -> None:
    """Another request, another team, a caller who is not held, and one who would get nothing: each has its own."""
    async with online(life) as served:
        await hang_up(served, SYNC)
        [first] = [task["id"] for task in life.simulator.seen()["submissions"]]
        if other == "it failed":
            life.finish(all=True, status="failed")
            await life.pass_time(120)
        body = {**SYNC, **({"prompt": "another"} if other == "input" else {})}
        key = await life.gateway.key_of("beta") if other == "tenant" else life.gateway.key
        body["enable_sync_mode"] = other != "not held"
        headers = {"authorization": f"Bearer {key}"}
        request = asyncio.create_task(served.client.post(f"/api/v3/{MODEL}", json=body, headers=headers))
        await wait_until(lambda: life.paid() == 2, what="another run is paid for")
        life.finish(all=True)
        await life.pass_time(120)
        assert (await request).status_code == 200
        assert first != life.simulator.seen()["submissions"][-1]["id"]


async def test_a_gateway_that_stops_answers_what_it_holds(life: Life) -> None:
    """With the task code of a wait that is over: the client reads the result from another gateway."""
    async with online(life) as served:
        request = asyncio.create_task(served.client.post(f"/api/v3/{MODEL}", json=SYNC))
        await held(life)
        served.server.stop()
        answer = await request
        assert (answer.status_code, answer.json()["data"]["code"]) == (200, 5004)


async def test_one_deleted_meanwhile_is_not_found(life: Life) -> None:
    """The wait ends with it."""
    prediction_id = await life.submit()
    path = f"/v1/predictions/{prediction_id}"
    request = asyncio.create_task(life.gateway.client.get(path, headers={"prefer": "wait=40"}))
    await held(life)
    assert (await life.gateway.client.delete(path)).status_code == 204
    assert (await request).status_code == 404


async def test_the_news_of_another_process_is_heard(redis_url: str, simulator: Running) -> None:
    """Whoever moves the prediction, a waiting request of any gateway on the same Redis learns of it."""
    async with open_life(redis_url, simulator) as life, open_life(redis_url, simulator) as other:
        await wait_until(lambda: other.resources.feed.subscribed, what="the subscription")
        prediction_id = await life.submit()
        path = f"/v1/predictions/{prediction_id}"
        request = asyncio.create_task(other.gateway.client.get(path, headers={"prefer": "wait=40"}))
        await held(other)
        await life.cancel(prediction_id)
        async with asyncio.timeout(5):
            assert (await request).json()["status"] == "canceled"


async def test_the_time_of_being_held_is_counted_apart(life: Life) -> None:
    """How quickly submissions are answered is measured without those whose callers asked to wait, on either face."""
    in_time, wanted = life.resources.metrics.http_duration, {"prefer": "wait=20"}
    plain = await life.gateway.client.post(f"/api/v3/{MODEL}", json={"prompt": "a wave"})
    assert plain.status_code == 200
    await ended(life, asyncio.create_task(life.gateway.client.post(f"/api/v3/{MODEL}", json=SYNC)))
    native = {"model": MODEL, "input": {"prompt": "a wave"}}
    await ended(life, asyncio.create_task(life.gateway.client.post("/v1/predictions", json=native, headers=wanted)))
    counted = {
        sample.labels["route"]: sample.value
        for family in in_time.collect()
        for sample in family.samples
        if sample.name.endswith("_count")
    }
    assert counted["held"] == 2
    assert counted["/api/v3/{model:path}"] == 1
    assert "/v1/predictions" not in counted
