"""Lists of predictions on both faces: a tenant's own, newest first, each once however the pages are cut."""

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.timestamps import rfc3339
from service.stores import prediction_list
from tests.integration.life.life import Life

SUBMISSION: Final = {"model": "openai/sora-2", "input": {"prompt": "x"}}

BAD_METADATA: Final[list[Any]] = [
    {f"k{n}": "" for n in range(17)},
    *({"": "x"}, {"a b": "x"}, {"k" * 41: "x"}, {"k": "x" * 201}, {"k": 1}),
    *(["k"], "k"),
]


async def made(life: Life, count: int, step_s: float = 1.0, **body: Any) -> list[str]:
    """Submit so many, one after the other; their ids, newest first."""
    ids = []
    for _ in range(count):
        life.clock.now_s += step_s
        answer = await life.gateway.client.post("/v1/predictions", json=SUBMISSION | body)
        assert answer.status_code == 202, answer.text
        ids.append(str(answer.json()["id"]))
    return ids[::-1]


async def native(life: Life, **query: Any) -> dict[str, Any]:
    """A page of the native face."""
    answer = await life.gateway.client.get("/v1/predictions", params=query)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def wavespeed(life: Life, **body: Any) -> dict[str, Any]:
    """A page of WaveSpeed's face; both ways of asking must answer the same."""
    answer = await life.gateway.client.post("/api/v3/predictions", json=body)
    query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in body.items()}
    assert (await life.gateway.client.get("/api/v3/predictions", params=query)).json() == answer.json()
    assert (answer.status_code, answer.json()["code"]) == (200, 200), answer.text
    shown: dict[str, Any] = answer.json()["data"]
    return shown


def ids(page: list[dict[str, Any]]) -> list[str]:
    """Which ones a page has."""
    return [one["id"] for one in page]


async def all_pages(life: Life, **query: Any) -> list[str]:
    """Follow the cursors to the end."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await native(life, **query, **cursor)
        found += ids(page["data"])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_a_tenant_sees_its_own_alone(life: Life) -> None:
    """Newest first, on both faces, in the shape each answers one; another tenant's list has none of them."""
    ours = await made(life, 3)
    rival = await life.gateway.key_of("rival")
    theirs = await life.submit(tenant_key=rival)
    page = await native(life)
    assert (ids(page["data"]), page["next_cursor"]) == (ours, None)
    assert page["data"][0] == await life.native(ours[0])
    listed = await wavespeed(life)
    assert (ids(listed["items"]), listed["page"], listed["total"]) == (ours, 1, 3)
    assert listed["items"][0] == await life.gateway.result(ours[0])
    assert all(one["urls"]["get"].startswith("http://gateway/api/v3/") for one in listed["items"])
    foreign = {"authorization": f"Bearer {rival}"}
    answer = await life.gateway.client.get("/v1/predictions", headers=foreign)
    assert ids(answer.json()["data"]) == [theirs]


@given(page_size=st.integers(1, 7), together=st.integers(1, 7), limit=st.integers(1, 7))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_hold_everything_once(life: Life, page_size: int, together: int, limit: int) -> None:
    """However many share a millisecond, and however they are cut into pages; nothing twice, nothing left out."""
    before = ids((await native(life, limit=200))["data"])
    life.clock.now_s += 1
    new = await made(life, together, step_s=0.0) + await made(life, 2)
    everything = set(new) | set(before)
    found = await all_pages(life, limit=limit)
    assert (len(found), set(found)) == (len(everything), everything)
    pages = [ids((await wavespeed(life, page=n, page_size=page_size))["items"]) for n in range(1, 9 + len(everything))]
    flat = [one for page in pages for one in page]
    assert flat == found
    assert all(len(page) == page_size for page in pages[: len(found) // page_size])


async def test_a_new_one_moves_no_page_of_a_cursor(life: Life) -> None:
    """What is submitted while somebody pages neither repeats nor hides anything."""
    old = await made(life, 4)
    first = await native(life, limit=2)
    await made(life, 3)
    second = await native(life, limit=2, cursor=first["next_cursor"])
    assert ids(first["data"]) + ids(second["data"]) == old


async def test_filters_find_what_fits(life: Life) -> None:
    """By state, model, time and metadata, alone and together; a filter that fits nothing finds nothing."""
    plain = await made(life, 2)
    middle_s = life.clock.now_s + 0.5
    tagged = await made(life, 2, metadata={"order": "A-1", "team": "shop"})
    await life.cancel(plain[0])
    moment = {"created_after": _rfc3339(middle_s)}
    assert ids((await native(life, status="canceled"))["data"]) == [plain[0]]
    assert ids((await native(life, status="created"))["data"]) == [*tagged, plain[1]]
    assert ids((await native(life, **{"metadata.order": "A-1"}))["data"]) == tagged
    assert ids((await native(life, **{"metadata.order": "A-1", "metadata.team": "other"}))["data"]) == []
    assert ids((await native(life, **moment))["data"]) == tagged
    assert ids((await native(life, created_before=_rfc3339(middle_s)))["data"]) == plain
    assert ids((await native(life, model="openai/none"))["data"]) == []
    assert await all_pages(life, limit=1, status="created") == [*tagged, plain[1]]
    assert ids((await wavespeed(life, status="failed"))["items"]) == [plain[0]]
    assert ids((await wavespeed(life, status="created", page_size=1, page=2))["items"]) == [tagged[1]]
    assert ids((await wavespeed(life, **moment))["items"]) == tagged
    assert (await wavespeed(life, model="openai/none"))["items"] == []
    for never in ("cancelled", "timeout", "deleted"):
        assert (await wavespeed(life, status=never))["items"] == []
    assert "total" not in await wavespeed(life, status="created")
    assert (await wavespeed(life, **moment))["total"] == 2


async def test_metadata_comes_back(life: Life) -> None:
    """In every answer and in what is sent of it; never upstream."""
    await life.register()
    [prediction_id] = await made(life, 1, metadata={"order": "A-1"})
    assert (await life.native(prediction_id))["metadata"] == {"order": "A-1"}
    assert (await life.cancel(prediction_id))["metadata"] == {"order": "A-1"}
    events = (await life.gateway.client.get("/v1/events")).json()["data"]
    assert events[-1]["data"]["metadata"] == {"order": "A-1"}
    assert "A-1" not in str(life.simulator.seen())


@pytest.mark.parametrize("metadata", BAD_METADATA)
async def test_metadata_is_bounded(life: Life, metadata: Any) -> None:
    """A 400 that names it, and nothing is sent."""
    answer = await life.gateway.client.post("/v1/predictions", json=SUBMISSION | {"metadata": metadata})
    assert answer.status_code == 400
    assert all(error["field"].startswith("metadata") for error in answer.json()["errors"])
    assert life.paid() == 0


async def test_inputs_are_shown_where_they_are_asked_for(life: Life) -> None:
    """On WaveSpeed's face only with `include_inputs`."""
    await made(life, 1)
    [with_inputs] = (await wavespeed(life, include_inputs=True))["items"]
    [without] = (await wavespeed(life))["items"]
    assert with_inputs == {**without, "input": {"prompt": "x"}}
    assert "input" not in without


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "0"}, "limit"), ({"limit": "201"}, "limit"), ({"limit": "x"}, "limit"),
        ({"cursor": "x"}, "cursor"), ({"cursor": "1-" + "g" * 32}, "cursor"), ({"cursor": "-1"}, "cursor"),
        ({"status": "done"}, "status"), ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "2026-01-01"}, "created_before"),
    ],
)  # fmt: skip
async def test_a_wrong_query_is_named_on_our_face(life: Life, query: dict[str, str], named: str) -> None:
    """A 400 that names the parameter."""
    answer = await life.gateway.client.get("/v1/predictions", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, named)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"page": 0}, "page"), ({"page_size": 101}, "page_size"), ({"page": "x"}, "page"),
        ({"status": "done"}, "status"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "2026-01-01T00:00:00"}, "created_before"),
        ({"model": 5}, "model"), ({"include_inputs": "perhaps"}, "include_inputs"),
        ({"created_after": 1_767_225_600}, "created_after"), ({"created_before": "0.5"}, "created_before"),
        ({"include_inputs": 0}, "include_inputs"), ({"page": "1"}, "page"), ({"page_size": True}, "page_size"),
    ],
)  # fmt: skip
async def test_a_wrong_query_is_named_on_wavespeed_s_face(life: Life, body: dict[str, Any], named: str) -> None:
    """In its envelope; fields nobody knows are ignored."""
    answer = await life.gateway.client.post("/api/v3/predictions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert answer.json()["message"].startswith(f"{named}:")
    assert (await wavespeed(life, unheard_of=1))["items"] == []


async def test_a_time_is_no_number_in_a_query_either(life: Life) -> None:
    """What may be seconds or milliseconds is refused; numbers and switches are texts there, and read."""
    refused = await life.gateway.client.get("/api/v3/predictions", params={"created_before": "0.5"})
    assert (refused.status_code, refused.json()["message"].partition(":")[0]) == (400, "created_before")
    fine = {"page": "1", "include_inputs": "true", "created_after": "2026-01-01T00:00:00Z"}
    assert (await life.gateway.client.get("/api/v3/predictions", params=fine)).status_code == 200


async def test_a_filter_that_fits_little_is_bounded(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our face answers a short page with a cursor that goes on; WaveSpeed's has none, and says how to ask."""
    everything = await made(life, 5)
    await life.cancel(everything[-1])
    monkeypatch.setattr(prediction_list, "MAX_LOOKED_AT", 2)
    monkeypatch.setattr(prediction_list, "_CHUNK", 2)
    first = await native(life, status="canceled")
    assert (first["data"], first["next_cursor"] is None) == ([], False)
    assert await all_pages(life, status="canceled") == [everything[-1]]
    answer = await life.gateway.client.post("/api/v3/predictions", json={"status": "failed"})
    assert (answer.status_code, "created_after" in answer.json()["message"]) == (400, True)


def _rfc3339(at_s: float) -> str:
    """A time as a query has it."""
    return rfc3339(int(at_s * 1000))
