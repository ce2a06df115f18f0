"""The operators' face: usage, and the audit log."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.domain.api_keys import digest
from service.domain.tenants_file import read_tenants_file
from tests.integration.http.timed import ADMIN_TOKEN, Timed, id_of, open_timed
from tests.integration.simulator.running import MODEL, Running

ACME: Final = "/admin/v1/tenants/acme"
KEYS: Final = f"{ACME}/keys"
USAGE: Final = "/admin/v1/usage"
AUDIT: Final = "/admin/v1/audit"


@pytest.fixture
async def timed(redis_url: str, simulator: Running) -> AsyncIterator[Timed]:
    """A gateway with an admin token."""
    async with open_timed(redis_url, simulator) as timed:
        yield timed


async def actions(timed: Timed, **query: int) -> list[dict[str, Any]]:
    """The audit log, newest first."""
    answer = await timed.operator.get(AUDIT, params=query)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["data"]
    return entries


async def some_usage(timed: Timed) -> None:
    """On 15 January one of `acme` completes, one fails, one runs and one is refused; on 16 another of `other` runs."""
    await timed.end(id_of("wavespeed", await timed.accepted()))
    await timed.end(id_of("wavespeed", await timed.accepted(duration=8)), "failed")
    await timed.accepted()
    assert (await timed.post("native", "[sim:submit=400]")).status_code == 400
    other = await timed.gateway.key_of("other")
    timed.clock.advance(86_400)
    await timed.accepted(key=other)


ROWS: Final = [
    {
        "tenant": "acme",
        "day": "2027-01-15",
        "model": MODEL,
        "admitted": 3,
        "refused": 1,
        "completed": 1,
        "failed": 1,
        "canceled": 0,
        "expired": 0,
        "held_usd": "0.40",
        "settled_usd": "0.40",
        "released_usd": "1.20",
    },
    {
        "tenant": "other",
        "day": "2027-01-16",
        "model": MODEL,
        "admitted": 1,
        "refused": 0,
        "completed": 0,
        "failed": 0,
        "canceled": 0,
        "expired": 0,
        "held_usd": "0.40",
        "settled_usd": "0.00",
        "released_usd": "0.00",
    },
]


async def test_usage_by_tenant_day_and_model(timed: Timed) -> None:
    """Counts and money of this month up to today, of every tenant."""
    assert (await timed.operator.get(USAGE)).json() == {"data": []}
    await some_usage(timed)
    assert (await timed.operator.get(USAGE)).json() == {"data": ROWS}


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"tenant": "acme"}, ROWS[:1]),
        ({"tenant": "other"}, ROWS[1:]),
        ({"since": "2027-01-16"}, ROWS[1:]),
        ({"until": "2027-01-15"}, ROWS[:1]),
        ({"since": "2026-12-20", "until": "2027-02-02"}, ROWS),
        ({"since": "2027-01-15", "until": "2027-01-15", "tenant": "other"}, []),
        ({"until": "2026-12-31"}, []),
    ],
)
async def test_usage_of_some_days(timed: Timed, query: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Both days are included."""
    await some_usage(timed)
    assert (await timed.operator.get(USAGE, params=query)).json() == {"data": rows}


async def test_usage_of_a_deleted_tenant_stays(timed: Timed) -> None:
    """What was spent was spent: it is there for who asks for that tenant."""
    await timed.end(id_of("wavespeed", await timed.accepted()))
    before = (await timed.operator.get(USAGE, params={"tenant": "acme"})).json()
    assert before["data"][0]["settled_usd"] == "0.40"
    assert (await timed.operator.delete("/admin/v1/tenants/acme")).status_code == 204
    assert (await timed.operator.get(USAGE, params={"tenant": "acme"})).json() == before


async def test_usage_as_csv(timed: Timed) -> None:
    """The same columns and values, one header line."""
    await some_usage(timed)
    answer = await timed.operator.get(USAGE, params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert lines == [{name: str(value) for name, value in row.items()} for row in ROWS]
    assert answer.text.count("\r\n") == 3


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ({"format": "xml"}, 400, "format"),
        ({"since": "yesterday"}, 400, "since"),
        ({"until": "2027-02-30"}, 400, "until"),
        ({"until": ""}, 400, "until"),
        ({"since": ""}, 400, "since"),
        ({"since": "2027-1-1"}, 400, "since"),
        ({"since": "2027-01-16", "until": "2027-01-15"}, 400, "until"),
        ({"since": "2020-01-01"}, 400, "until"),
        ({"tenant": "nobody"}, 404, "nobody"),
        ({"tenant": "acme:keys"}, 404, "acme:keys"),
    ],
)
async def test_a_wrong_question_about_usage(timed: Timed, query: dict[str, str], status: int, named: str) -> None:
    """What is wrong is named."""
    answer = await timed.operator.get(USAGE, params=query)
    assert answer.status_code == status, answer.text
    assert named in answer.text


async def test_every_action_is_in_the_audit_log(timed: Timed) -> None:
    """Newest first: when, who, what, to whom, and for a change what it was and is now."""
    key = (await timed.operator.post(KEYS, json={"name": "ci", "expires_in_days": 1})).json()
    await timed.operator.put("/admin/v1/tenants/beta", json={"limits": {"daily": 5}})
    await timed.operator.put("/admin/v1/tenants/beta", json={"limits": {"daily": 7}, "name": "Beta"})
    await timed.operator.put("/admin/v1/tenants/beta", json={"limits": {"daily": 7}, "name": "Beta"})  # changes nothing
    for action in ("suspend", "resume"):
        await timed.operator.post(f"/admin/v1/tenants/beta/{action}")
    await timed.operator.delete(f"{KEYS}/{key['id']}")
    await timed.operator.delete("/admin/v1/tenants/beta")
    await timed.gateway.resources.apply_tenants(read_tenants_file("[tenants.gamma]\nweight = 2\n"))
    entries = await actions(timed)
    assert [(entry["actor"], entry["action"], entry["tenant"]) for entry in entries] == [
        ("tenants file", "tenant.create", "gamma"),
        ("admin api", "tenant.delete", "beta"),
        ("admin api", "key.revoke", "acme"),
        ("admin api", "tenant.resume", "beta"),
        ("admin api", "tenant.suspend", "beta"),
        ("admin api", "tenant.update", "beta"),
        ("admin api", "tenant.create", "beta"),
        ("admin api", "key.create", "acme"),
        ("cli", "key.create", "acme"),  # by which the fixture made them
        ("cli", "tenant.create", "acme"),
    ]
    assert entries[5]["detail"] == {"name": ["beta", "Beta"], "limits.daily": [5, 7]}
    assert entries[6]["detail"] == {"limits": {"daily": 5}}
    assert entries[7]["detail"] == {"key": key["id"], "name": "ci", "expires_at": key["expires_at"]}
    assert all(entry["at"].endswith("Z") for entry in entries)
    assert await actions(timed, limit=2) == entries[:2]


async def test_what_was_refused_is_not_in_the_audit_log(timed: Timed) -> None:
    """Only what was done is."""
    before = await actions(timed)
    await timed.operator.put(ACME, json={"weight": 0})
    await timed.operator.post(KEYS, json={})
    await timed.operator.delete(f"{KEYS}/key_none")
    await timed.operator.post("/admin/v1/tenants/nobody/suspend")
    assert await actions(timed) == before


async def test_no_secret_is_in_the_audit_log(timed: Timed, redis: Redis) -> None:
    """Neither a key nor its digest, neither the token nor a tenant's secret."""
    key = (await timed.operator.post(KEYS, json={"name": "ci"})).json()["key"]
    listed = "ab" * 32
    text = f'[tenants.gamma]\nkeys = {{ ci = "sha256:{listed}" }}\n'
    await timed.gateway.resources.apply_tenants(read_tenants_file(text))
    secret = (await timed.gateway.client.get("/api/v3/webhook/secret")).json()["data"]["secret"]
    stored = b"".join(await redis.lrange("bw:audit", 0, -1)).decode()  # type: ignore[misc] # sync or async
    shown = (await timed.operator.get(AUDIT)).text
    for text in (stored, shown):
        assert "key.create" in text
        assert not [s for s in (key, digest(key), listed, secret, ADMIN_TOKEN, timed.gateway.key) if s in text]


async def test_the_audit_log_is_bounded(timed: Timed, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest entries leave first."""
    monkeypatch.setattr("service.stores.keys.AUDIT_ENTRIES", 5)
    for weight in range(2, 12):
        await timed.operator.put(ACME, json={"weight": weight})
    assert await redis.llen("bw:audit") == 5  # type: ignore[misc] # sync or async
    assert [entry["detail"]["weight"][1] for entry in await actions(timed)] == [11, 10, 9, 8, 7]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "\u0665", "0001099999", "1" * 30, "0001" + "0" * 30])
async def test_a_wrong_number_of_audit_entries_is_refused(timed: Timed, limit: str) -> None:
    """400 that names the bounds."""
    answer = await timed.operator.get(AUDIT, params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "limit"), answer.text
