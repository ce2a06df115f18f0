"""`/v1/events`: everything callbacks tell, in order, for receivers that were away."""

from typing import Any

import pytest
from pydantic_core import from_json

from service.stores import keys
from tests.integration.callbacks.post import Post


async def followed(post: Post, **query: Any) -> list[dict[str, Any]]:
    """Every event, page by page, from a cursor on."""
    found: list[dict[str, Any]] = []
    while True:
        page = await post.get("/v1/events", **query)
        found += page["data"]
        if not page["has_more"]:
            return found
        query["after"] = page["next_cursor"]


async def test_the_log_tells_what_callbacks_tell(post: Post) -> None:
    """The same ids, types, times and data, in the order they happened."""
    await post.register()
    await post.end(processing=True)
    await post.end()
    await post.deliver()
    events = await followed(post)
    sent = {one.headers["webhook-id"]: from_json(one.body) for one in post.receiver.received}
    assert [event["type"] for event in events] == [
        "prediction.processing",
        "prediction.completed",
        "prediction.completed",
    ]
    assert {e["id"]: {name: e[name] for name in ("type", "timestamp", "data")} for e in events} == sent


async def test_it_is_there_without_any_endpoint(post: Post) -> None:
    """A team that only reads the log misses nothing."""
    prediction_id = await post.end(processing=True)
    events = await followed(post)
    assert [(event["data"]["id"], event["data"]["sequence"]) for event in events] == [
        (prediction_id, 1),
        (prediction_id, 2),
    ]


async def test_one_goes_on_from_where_one_was(post: Post) -> None:
    """A cursor stays good when there is nothing new, and after it comes only what is new."""
    await post.end()
    first = await post.get("/v1/events")
    assert not first["has_more"]
    again = await post.get("/v1/events", after=first["next_cursor"])
    assert (again["data"], again["next_cursor"], again["gap"]) == ([], first["next_cursor"], False)
    newer = await post.end()
    (event,) = (await post.get("/v1/events", after=again["next_cursor"]))["data"]
    assert event["data"]["id"] == newer
    assert (await post.get("/v1/events", after=event["cursor"]))["data"] == []


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
async def test_pages_hold_everything_once(post: Post, limit: int) -> None:
    """In order, whatever the length of a page and the types wanted."""
    made = [await post.end(processing=number % 2 == 0) for number in range(6)]
    events = await followed(post, limit=limit)
    assert len(events) == 9
    assert [event["data"]["id"] for event in events if event["type"] == "prediction.completed"] == made
    ends = await followed(post, limit=limit, types="prediction.completed,prediction.failed")
    assert [event["data"]["id"] for event in ends] == made
    assert await followed(post, limit=limit, types="prediction.expired") == []


async def test_a_receiver_can_find_and_fill_a_gap(post: Post) -> None:
    """What it has not seen of a prediction is missing in `sequence`, and stands in the log."""
    await post.register()
    post.receiver.answer = lambda callback: 404 if b"prediction.processing" in callback.body else 204
    prediction_id = await post.end(processing=True)
    await post.deliver()
    seen = {
        from_json(one.body)["data"]["sequence"] for one in post.receiver.received if b"prediction.completed" in one.body
    }
    assert seen == {2}, "the first is missing"
    events = [event for event in await followed(post) if event["data"]["id"] == prediction_id]
    assert [event["data"]["sequence"] for event in events] == [1, 2]


async def test_what_is_no_longer_kept_is_a_gap(post: Post) -> None:
    """The log is bounded: a cursor from before its beginning is told so."""
    for _ in range(3):
        await post.end()
    first, *_ = (await post.get("/v1/events"))["data"]
    await post.resources.commands("XTRIM", keys.tenant_events("acme"), "MAXLEN", 1)
    page = await post.get("/v1/events", after=first["cursor"])
    assert (page["gap"], len(page["data"])) == (True, 1)
    assert not (await post.get("/v1/events", after=page["next_cursor"]))["gap"]


async def test_teams_see_their_own(post: Post) -> None:
    """Nothing of anybody else's."""
    await post.end()
    post.client.headers.update(await post.key_of("rival"))
    page = await post.get("/v1/events")
    assert (page["data"], page["next_cursor"], page["has_more"]) == ([], None, False)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"after": "x"}, "after"),
        ({"after": "-"}, "after"),
        ({"types": "prediction.done"}, "types"),
        ({"types": ""}, "types"),
        ({"types": "prediction.completed,"}, "types"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_a_bad_query_is_named(post: Post, query: dict[str, Any], named: str) -> None:
    """400, with the parameter at fault."""
    refused = await post.client.get("/v1/events", params=query)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [named]
