"""Endpoints: created, changed, switched off and on, tested, given new secrets, and what their receivers get."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_core import from_json
from standardwebhooks import Webhook

from service.domain.endpoints import MESSAGE_TYPES, OVERLAP_MS
from tests.integration.callbacks.post import Post, open_post
from tests.journeys.system import Callback
from tests.waiting import wait_until

DAY_S = 86_400.0


def verifies(secret: str, callback: Callback, signature: int | None = None) -> bool:
    """Whether the official library finds a callback signed with a secret, or one of its signatures alone.

    The test's clock is not the library's, so it is asked what the signature would be.
    """
    given = callback.headers["webhook-signature"].split(" ")
    at = datetime.fromtimestamp(int(callback.headers["webhook-timestamp"]), UTC)
    wanted = Webhook(secret).sign(callback.headers["webhook-id"], at, callback.body.decode())
    return wanted in (given if signature is None else [given[signature]])


async def test_many_endpoints_get_each_event_they_want(post: Post) -> None:
    """One without a list gets everything, others what they name; each under one id and its own secret."""
    everything = await post.register("all")
    ends = await post.register("ends", events=["prediction.completed"], description="ends only")
    await post.register("failures", events=["prediction.failed"])
    prediction_id = await post.end(processing=True)
    assert await post.deliver() == 3
    by_path: dict[str, list[Callback]] = {"/all": [], "/ends": []}
    for callback in post.receiver.received:
        by_path[callback.path].append(callback)
    assert {from_json(one.body)["type"] for one in by_path["/all"]} == {"prediction.processing", "prediction.completed"}
    (end,) = by_path["/ends"]
    assert end.headers["webhook-id"] == f"evt_{prediction_id}_2"
    assert verifies(ends["secret"], end)
    assert not verifies(everything["secret"], end)
    assert all(verifies(everything["secret"], one) for one in by_path["/all"])
    assert len(end.body) < 20_000


async def test_a_secret_is_shown_once(post: Post) -> None:
    """Neither the list nor one by itself has it; nor does anything but the answer to its creation."""
    created = await post.register(description="ours")
    listed = (await post.get("/v1/endpoints"))["data"]
    shown = await post.get(f"/v1/endpoints/{created['id']}")
    assert created["secret"] not in str(listed) + str(shown)
    assert {**shown, "secret": created["secret"]} == {**created, "health": shown["health"]}
    assert listed == [{name: value for name, value in created.items() if name != "secret"}]


async def test_what_is_changed_counts_from_now_on(post: Post) -> None:
    """Types, URL and description, one by one; what is not named stays."""
    endpoint = await post.register("old", events=["prediction.failed"], description="first")
    path = f"/v1/endpoints/{endpoint['id']}"
    changed = (await post.client.patch(path, json={"events": [], "url": f"{post.receiver.url}/new"})).json()
    assert (changed["events"], changed["description"]) == ([], "first")
    await post.end()
    await post.deliver()
    assert [one.path for one in post.receiver.received] == ["/new"]
    assert (await post.client.patch(path, json={})).json()["url"].endswith("/new")


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"url": "http://10.0.0.1/"}, 422, "BREAKWATER_CALLBACK_ALLOW"),
        ({"events": ["prediction.done"]}, 422, "events.0"),
        ({"state": "asleep"}, 400, "state"),
        ({"secret": "whsec_mine"}, 400, "secret"),
        ({"description": "x" * 201}, 400, "description"),
    ],
)
async def test_a_bad_change_changes_nothing(post: Post, body: dict[str, Any], status: int, named: str) -> None:
    """The error names what is wrong, and the endpoint stays as it was."""
    endpoint = await post.register()
    path = f"/v1/endpoints/{endpoint['id']}"
    before = await post.get(path)
    refused = await post.client.patch(path, json=body)
    assert (refused.status_code, named in refused.text) == (status, True), refused.text
    assert await post.get(path) == before


async def test_one_that_waits_for_what_never_happens_is_refused(redis_url: str) -> None:
    """An installation that announces no expiring outputs accepts no endpoint that waits for them."""
    async with open_post(redis_url, output_expiring_s=0) as post:
        wanted = {"url": post.receiver.url, "events": ["prediction.completed", "prediction.output_expiring"]}
        refused = await post.client.post("/v1/endpoints", json=wanted)
        assert (refused.status_code, refused.json()["code"]) == (422, "cannot_fire")
        assert [error["field"] for error in refused.json()["errors"]] == ["events.1"]
        assert (await post.client.post("/v1/endpoints", json={**wanted, "events": []})).status_code == 201


async def test_every_type_can_be_asked_for(post: Post) -> None:
    """All that is ever sent."""
    endpoint = await post.register(events=list(MESSAGE_TYPES))
    assert endpoint["events"] == list(MESSAGE_TYPES)


CALLS: dict[str, Callable[[Post, str], Any]] = {
    "read": lambda post, path: post.client.get(path),
    "change": lambda post, path: post.client.patch(path, json={"description": "mine"}),
    "delete": lambda post, path: post.client.delete(path),
    "rotate": lambda post, path: post.client.post(f"{path}/rotate-secret"),
    "test": lambda post, path: post.client.post(f"{path}/test"),
    "recover": lambda post, path: post.client.post(f"{path}/recover?since=2026-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_another_team_s_is_not_found(post: Post, call: Callable[[Post, str], Any]) -> None:
    """Nor is one that does not exist; the two look alike, and nothing is changed."""
    endpoint = await post.register()
    before = await post.get(f"/v1/endpoints/{endpoint['id']}")
    mine = dict(post.client.headers)
    post.client.headers.update(await post.key_of("rival"))
    answers = [await call(post, f"/v1/endpoints/{one}") for one in (endpoint["id"], "ep_unknown")]
    assert [one.status_code for one in answers] == [404, 404]
    post.client.headers.update(mine)
    assert await post.get(f"/v1/endpoints/{endpoint['id']}") == before


async def test_while_a_rotation_overlaps_both_secrets_sign(post: Post) -> None:
    """For 24 hours each receiver verifies with the secret it has; then the new one alone signs."""
    endpoint = await post.register()
    path = f"/v1/endpoints/{endpoint['id']}/rotate-secret"
    new = (await post.client.post(path)).json()["secret"]
    await post.end()
    await post.deliver()
    (callback,) = post.receiver.received
    assert verifies(new, callback, 0)
    assert verifies(endpoint["secret"], callback, 1)
    post.clock.now_s += OVERLAP_MS / 1000
    await post.end()
    await post.deliver()
    later = post.receiver.received[-1]
    assert verifies(new, later)
    assert not verifies(endpoint["secret"], later)


async def test_rotating_again_keeps_whoever_is_behind(post: Post) -> None:
    """Two rotations within a day: all three secrets sign, for a day from when each was replaced; no more than three."""
    secrets = [(endpoint := await post.register())["secret"]]
    for _ in range(2):
        secrets.append((await post.client.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret")).json()["secret"])
        post.clock.now_s += 3_600
    await post.end()
    await post.deliver()
    assert all(verifies(secret, post.receiver.received[-1]) for secret in secrets)
    secrets.append((await post.client.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret")).json()["secret"])
    await post.end()
    await post.deliver()
    assert [verifies(secret, post.receiver.received[-1]) for secret in secrets] == [False, True, True, True]


async def test_a_test_tells_what_happened(post: Post) -> None:
    """One message by the usual way, signed; the answer has the receiver's own."""
    endpoint = await post.register()
    asked = asyncio.create_task(post.client.post(f"/v1/endpoints/{endpoint['id']}/test"))
    await wait_until(post.deliver, what="the test is sent")
    told = (await asked).json()
    assert (told["state"], told["attempt"]["outcome"], told["attempt"]["status"]) == ("delivered", "delivered", 204)
    (callback,) = post.receiver.received
    assert from_json(callback.body)["type"] == "endpoint.test"
    assert from_json(callback.body)["data"]["endpoint_id"] == endpoint["id"]
    assert verifies(endpoint["secret"], callback)


async def test_a_test_that_fails_is_no_delivery_that_failed(post: Post) -> None:
    """It is tried once, is no dead letter, is counted as none, and is nothing to the endpoint's health."""
    endpoint = await post.register()
    post.receiver.answer = lambda _: 500
    asked = asyncio.create_task(post.client.post(f"/v1/endpoints/{endpoint['id']}/test"))
    await wait_until(post.deliver, what="the test is sent")
    told = (await asked).json()
    assert (told["state"], told["attempt"]["status"], told["attempt"]["answer"]) == ("dead", 500, "no")
    assert await post.pass_time(7_200) == 0
    health = (await post.get(f"/v1/endpoints/{endpoint['id']}"))["health"]
    assert (health["failed"], health["dead"], health["breaker"]) == (0, 0, "closed")
    assert post.sample("breakwater_deliveries_ended_total", end="dead") == 0
    assert (await post.client.post(f"/v1/deliveries/{told['delivery_id']}/resend")).status_code == 409


async def test_a_test_is_sent_also_to_one_that_is_switched_off(post: Post) -> None:
    """That is when one wants to know: disabled, or with an open breaker."""
    endpoint = await post.register()
    await post.client.patch(f"/v1/endpoints/{endpoint['id']}", json={"state": "disabled"})
    asked = asyncio.create_task(post.client.post(f"/v1/endpoints/{endpoint['id']}/test"))
    await wait_until(post.deliver, what="the test is sent")
    assert (await asked).json()["state"] == "delivered"


async def test_one_that_is_switched_off_gets_nothing(post: Post) -> None:
    """Neither what waited for it, which is given up, nor what happens meanwhile; switched on it goes on."""
    endpoint = await post.register()
    path = f"/v1/endpoints/{endpoint['id']}"
    await post.end()
    off = (await post.client.patch(path, json={"state": "disabled"})).json()
    assert (off["state"], off["disabled_by"]) == ("disabled", "team")
    await post.end()
    await post.deliver()
    assert post.receiver.received == []
    (waited,) = await post.deliveries()
    assert waited["state"] == "dead"
    on = (await post.client.patch(path, json={"state": "enabled"})).json()
    assert (on["state"], on["disabled_by"], on["disabled_at"]) == ("enabled", None, None)
    await post.end()
    assert await post.deliver() == 1


async def test_deleting_ends_what_waits(post: Post) -> None:
    """Nothing is sent any more, and what waited is listed as given up, with the reason."""
    endpoint = await post.register()
    await post.end()
    assert (await post.client.delete(f"/v1/endpoints/{endpoint['id']}")).status_code == 204
    await post.deliver()
    assert post.receiver.received == []
    (waited,) = await post.deliveries(state="dead")
    details = await post.get(f"/v1/deliveries/{waited['id']}")
    assert details["attempts_made"][0]["error"] == "the endpoint was deleted"
    assert (await post.client.post(f"/v1/deliveries/{waited['id']}/resend")).status_code == 409


async def test_one_that_is_gone_is_disabled_at_once(post: Post) -> None:
    """410: its receiver wants no more. The team's other endpoints are told, and a metric counts it."""
    gone = await post.register("gone")
    witness = await post.register("witness", events=["endpoint.disabled"])
    post.receiver.answer = lambda callback: 410 if callback.path == "/gone" else 204
    await post.end()
    await post.deliver()
    shown = await post.get(f"/v1/endpoints/{gone['id']}")
    assert (shown["state"], shown["disabled_by"]) == ("disabled", "gone")
    (told,) = [one for one in post.receiver.received if one.path == "/witness"]
    message = from_json(told.body)
    assert (message["type"], message["data"]["endpoint_id"]) == ("endpoint.disabled", gone["id"])
    assert message["data"]["disabled_by"] == "gone"
    assert post.receiver.url not in str(message), "an address may hold a secret"
    assert verifies(witness["secret"], told)
    assert post.sample("breakwater_endpoints_disabled_total", by="gone") == 1
    (event,) = (await post.get("/v1/events", types="endpoint.disabled"))["data"]
    assert (event["id"], event["data"]) == (told.headers["webhook-id"], message["data"])


async def test_days_of_nothing_but_failures_disable_it(post: Post) -> None:
    """Five days without one success; a single success in between begins them anew."""
    endpoint = await post.register()
    path = f"/v1/endpoints/{endpoint['id']}"
    post.receiver.answer = lambda _: 404

    async def days(number: int) -> None:
        for _ in range(number):
            await post.end()
            await post.deliver()
            post.clock.now_s += DAY_S

    await days(4)
    post.receiver.answer = lambda _: 204
    await post.end()
    await post.deliver()
    post.receiver.answer = lambda _: 404
    await days(5)
    assert (await post.get(path))["state"] == "enabled"
    await days(1)
    shown = await post.get(path)
    assert (shown["state"], shown["disabled_by"]) == ("disabled", "failing")
    assert post.sample("breakwater_endpoints_disabled_total", by="failing") == 1
    post.receiver.answer = lambda _: 204
    await post.client.patch(path, json={"state": "enabled"})
    assert (await post.get(path))["health"]["failing_since"] is None


async def test_health_tells_how_it_is_doing(post: Post) -> None:
    """Counts, the last failure in words, and when the next try is."""
    endpoint = await post.register()
    await post.end()
    await post.deliver()
    post.receiver.answer = lambda _: 503
    for _ in range(6):
        await post.end()
    await post.deliver()
    health = (await post.get(f"/v1/endpoints/{endpoint['id']}"))["health"]
    assert (health["breaker"], health["delivered"], health["failed"], health["pending"]) == ("open", 1, 6, 6)
    assert health["last_failure"] == "the receiver answered 503"
    assert health["retry_at"] is not None
    assert post.sample("breakwater_receiver_breaker_moves_total", move="opened") == 1
