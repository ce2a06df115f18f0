"""Deliveries: listed, shown with every attempt, sent again under the same id, and the dead letters."""

from typing import Any

import pytest
from pydantic import SecretStr

from service.domain.tenant_spec import read_spec
from service.domain.timestamps import rfc3339
from service.domain.webhook_retries import SCHEDULE_S
from service.stores import keys
from tests.integration.callbacks.post import ADMIN_TOKEN, Post, open_post
from tests.owed import owed_deliveries

OPERATOR = {"authorization": f"Bearer {ADMIN_TOKEN}"}
WHOLE_SCHEDULE_S = 1.3 * sum(SCHEDULE_S)


async def all_pages(post: Post, **query: Any) -> list[list[str]]:
    """Ids, page by page, until there is no next one."""
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await post.get("/v1/deliveries", **query, **cursor)
        pages.append([one["id"] for one in answer["data"]])
        if answer["next_cursor"] is None:
            return pages
        cursor = {"cursor": answer["next_cursor"]}


async def test_a_delivery_is_shown_with_every_attempt(post: Post) -> None:
    """When, how long, what the receiver said, and when the next one is due."""
    endpoint = await post.register()
    answers = iter((503, 204))
    post.receiver.answer = lambda _: next(answers)
    prediction_id = await post.end()
    await post.deliver()
    (listed,) = await post.deliveries()
    shown = await post.get(f"/v1/deliveries/{listed['id']}")
    assert {name: shown[name] for name in listed} == listed
    assert (listed["endpoint_id"], listed["prediction_id"]) == (endpoint["id"], prediction_id)
    assert (listed["state"], listed["attempts"], listed["event_type"]) == ("pending", 1, "prediction.completed")
    assert shown["next_attempt_at"] > shown["last_attempt_at"]
    await post.pass_time(10, 1)
    done = await post.get(f"/v1/deliveries/{listed['id']}")
    assert (done["state"], done["next_attempt_at"]) == ("delivered", None)
    first, second = done["attempts_made"]
    assert (first["number"], first["outcome"], first["status"], first["answer"]) == (1, "rejected", 503, "no")
    assert (second["number"], second["outcome"], second["status"], second["error"]) == (2, "delivered", 204, "")
    assert all(one["duration_s"] >= 0 and one["at"].endswith("Z") for one in (first, second))
    assert {one.headers["webhook-id"] for one in post.receiver.received} == {done["webhook_id"]}
    assert [one.headers["webhook-attempt"] for one in post.receiver.received] == ["1", "2"]


async def test_lists_are_by_endpoint_prediction_and_state(post: Post) -> None:
    """Each filter alone and together; what does not fit is left out."""
    ends = ["prediction.completed"]
    one, other = await post.register("one", events=ends), await post.register("other", events=ends)
    post.receiver.answer = lambda callback: 204 if callback.path == "/one" else 410
    first, second = await post.end(), await post.end()
    await post.deliver()
    assert len(await post.deliveries()) == 4
    assert {d["prediction_id"] for d in await post.deliveries(endpoint_id=one["id"])} == {first, second}
    assert {d["endpoint_id"] for d in await post.deliveries(prediction_id=first)} == {one["id"], other["id"]}
    assert {d["endpoint_id"] for d in await post.deliveries(state="dead")} == {other["id"]}
    assert {d["endpoint_id"] for d in await post.deliveries(state="delivered")} == {one["id"]}
    assert await post.deliveries(state="pending") == []
    (found,) = await post.deliveries(endpoint_id=other["id"], prediction_id=second, state="dead")
    assert found["prediction_id"] == second
    assert await post.deliveries(endpoint_id="ep_unknown") == await post.deliveries(prediction_id="0" * 32) == []


async def test_pages_hold_everything_once(post: Post) -> None:
    """Newest first, whatever the length of a page, also where many were owed at the same moment."""
    await post.register()
    made: list[str] = []
    for number in range(13):
        made.append(await post.end())
        post.clock.now_s += number % 3  # some in the same millisecond
    everything = [one["id"] for one in await post.deliveries()]
    assert len(everything) == 13
    assert everything[0].startswith(made[-1])
    for limit in (1, 2, 3, 5, 13, 200):
        pages = await all_pages(post, limit=limit)
        assert [one for page in pages for one in page] == everything
        assert all(len(page) <= limit for page in pages)


async def test_a_filter_that_fits_little_still_comes_to_an_end(post: Post) -> None:
    """Pages may be short or empty; the last one says so."""
    await post.register("one")
    post.receiver.answer = lambda _: 204
    for _ in range(30):
        await post.end()
    await post.deliver()
    await post.end()
    pages = await all_pages(post, state="pending", limit=1)
    assert sum(len(page) for page in pages) == 1


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"state": "lost"}, "state"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "+inf_0"}, "cursor"),
    ],
)
async def test_a_bad_query_is_named(post: Post, query: dict[str, Any], named: str) -> None:
    """400, with the parameter at fault."""
    refused = await post.client.get("/v1/deliveries", params=query)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [named]


@pytest.mark.parametrize("delivery_id", ["nothing", "x:attempts", "%3F", "a" * 300])
async def test_what_there_is_not_is_not_found(post: Post, delivery_id: str) -> None:
    """Whatever is asked for."""
    assert (await post.client.get(f"/v1/deliveries/{delivery_id}")).status_code == 404
    assert (await post.client.post(f"/v1/deliveries/{delivery_id}/resend")).status_code == 404


async def test_another_team_s_are_not_found(post: Post) -> None:
    """Not by id, not by its endpoint, not by its prediction."""
    endpoint = await post.register()
    prediction_id = await post.end()
    (mine,) = await post.deliveries()
    post.client.headers.update(await post.key_of("rival"))
    assert (await post.client.get(f"/v1/deliveries/{mine['id']}")).status_code == 404
    assert (await post.client.post(f"/v1/deliveries/{mine['id']}/resend")).status_code == 404
    assert await post.deliveries() == await post.deliveries(endpoint_id=endpoint["id"]) == []
    assert await post.deliveries(prediction_id=prediction_id) == []


async def test_sending_again_keeps_the_id(post: Post) -> None:
    """What was delivered is sent once more under the same webhook-id, with the next number of attempt."""
    await post.register()
    await post.end()
    await post.deliver()
    (delivery,) = await post.deliveries()
    again = await post.client.post(f"/v1/deliveries/{delivery['id']}/resend")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert await post.deliver() == 1
    first, second = post.receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [one.headers["webhook-attempt"] for one in (first, second)] == ["1", "2"]
    assert first.body == second.body


async def test_a_dead_letter_sent_again_has_the_whole_schedule(post: Post) -> None:
    """It was given up after every attempt; resent it has as many again, and then it is a dead letter again."""
    await post.register()
    post.receiver.answer = lambda _: 404
    await post.end()
    await post.deliver()
    await post.pass_time(WHOLE_SCHEDULE_S, 600)
    assert len(post.receiver.received) == len(SCHEDULE_S)
    (dead,) = await post.deliveries(state="dead")
    await post.client.post(f"/v1/deliveries/{dead['id']}/resend")
    assert await post.deliveries(state="dead") == []
    await post.deliver()
    await post.pass_time(WHOLE_SCHEDULE_S, 600)
    assert len(post.receiver.received) == 2 * len(SCHEDULE_S)
    assert [one["id"] for one in await post.deliveries(state="dead")] == [dead["id"]]
    assert len({one.headers["webhook-id"] for one in post.receiver.received}) == 1


async def test_a_deleted_prediction_s_dead_letters_are_gone(post: Post) -> None:
    """From its team's list and from the operators'; those of other predictions stay."""
    await post.register()
    post.receiver.answer = lambda _: 410
    kept, gone = await post.end(), await post.end()
    await post.deliver()
    assert {one["prediction_id"] for one in await post.deliveries(state="dead")} == {kept, gone}
    assert (await post.client.delete(f"/v1/predictions/{gone}")).status_code == 204
    assert {one["prediction_id"] for one in await post.deliveries()} == {kept}
    assert await post.resources.commands("ZCARD", "bw:dead") == 1


async def test_a_denied_address_is_never_tried_again(post: Post) -> None:
    """The tenant's own list has become stricter since: nothing connects, there is no second try, and it says why."""
    await post.register()
    await post.end()
    await post.resources.administer.put_tenant("acme", read_spec({"name": "Acme", "callback_allow": ["10.0.0.0/8"]}))
    await post.deliver()
    assert await post.pass_time(WHOLE_SCHEDULE_S, 600) == 0
    assert post.receiver.received == []
    (dead,) = await post.deliveries(state="dead")
    (attempt,) = (await post.get(f"/v1/deliveries/{dead['id']}"))["attempts_made"]
    assert (attempt["outcome"], "callback_allow" in attempt["error"]) == ("denied", True)


async def test_recovering_sends_what_was_missed_since(post: Post) -> None:
    """Only what was given up since then, only of that endpoint, each under its own id."""
    endpoint, other = await post.register("one"), await post.register("other")
    post.receiver.answer = lambda _: 404
    await post.end()
    await post.pass_time(WHOLE_SCHEDULE_S, 600)
    long_ago = post.clock.now_s
    post.clock.now_s += 3_600
    await post.end()
    await post.pass_time(WHOLE_SCHEDULE_S, 600)
    post.receiver.received.clear()
    post.receiver.answer = lambda _: 204
    since = _rfc3339(long_ago + 60)
    answer = await post.client.post(f"/v1/endpoints/{endpoint['id']}/recover", params={"since": since})
    assert (answer.status_code, answer.json()) == (200, {"recovered": 1})
    await post.deliver()
    (sent,) = post.receiver.received
    assert sent.path == "/one"
    assert len(await post.deliveries(state="dead", endpoint_id=other["id"])) == 2
    assert (await post.client.post(f"/v1/endpoints/{endpoint['id']}/recover")).status_code == 400
    await post.client.patch(f"/v1/endpoints/{endpoint['id']}", json={"state": "disabled"})
    refused = await post.client.post(f"/v1/endpoints/{endpoint['id']}/recover", params={"since": since})
    assert refused.status_code == 409


async def test_operators_see_and_resend_everybody_s_dead_letters(redis_url: str) -> None:
    """Listed by tenant and endpoint; sent again in bulk, and only those that are dead."""
    async with open_post(redis_url, admin_token=SecretStr(ADMIN_TOKEN)) as post:
        mine = dict(post.client.headers)
        endpoint = await post.register("acme")
        post.client.headers.update(await post.key_of("rival"))
        await post.register("rival")
        post.client.headers.update(mine)
        post.receiver.answer = lambda _: 404
        for tenant in ("acme", "rival", "acme"):
            await post.end(tenant)
        await post.pass_time(WHOLE_SCHEDULE_S, 600)

        async def listed(**query: str) -> list[str]:
            answer = await post.client.get("/admin/v1/dead-letters", params=query, headers=OPERATOR)
            assert answer.status_code == 200, answer.text
            return sorted(one["tenant"] for one in answer.json()["data"])

        async def resent(**which: str) -> int:
            answer = await post.client.post("/admin/v1/dead-letters/resend", json=which, headers=OPERATOR)
            assert answer.status_code == 200, answer.text
            return int(answer.json()["resent"])

        assert await listed() == ["acme", "acme", "rival"]
        assert await listed(tenant="rival") == ["rival"]
        assert await listed(endpoint_id=endpoint["id"]) == ["acme", "acme"]
        assert await listed(tenant="rival", endpoint_id=endpoint["id"]) == []
        assert await resent(since=_rfc3339(post.clock.now_s + 60)) == 0
        assert await resent(tenant="rival") == 1
        assert await listed() == ["acme", "acme"]
        post.receiver.answer = lambda _: 204
        assert await resent(endpoint_id=endpoint["id"]) == 2
        assert await listed() == []
        assert await post.deliver() == 3
        assert await resent() == 0
        refused = await post.client.get("/admin/v1/dead-letters")
        assert refused.status_code == 401


async def test_everything_has_a_lifetime(post: Post) -> None:
    """Two weeks after a delivery's end nothing is left of it but what is bounded."""
    await post.register()
    await post.end()
    await post.deliver()
    (delivery,) = await post.deliveries()
    for key in (
        keys.delivery(delivery["id"]),
        keys.delivery_attempts(delivery["id"]),
        keys.tenant_deliveries("acme"),
        keys.lane_deliveries(delivery["endpoint_id"]),
        keys.lane(delivery["endpoint_id"]),
        keys.tenant_events("acme"),
    ):
        assert 0 < await post.resources.commands("PTTL", key) <= 30 * keys.DAY_MS
    assert await owed_deliveries(post.resources.commands) == []


def _rfc3339(at_s: float) -> str:
    """A time for a query."""
    return rfc3339(int(at_s * 1000))
