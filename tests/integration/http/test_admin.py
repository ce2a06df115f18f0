"""The operators' face: who may use it, and tenants: upsert, show, list, suspend, delete."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.domain.tenants_file import read_tenants_file
from tests.integration.http.gateway import Gateway, posts_seen
from tests.integration.http.timed import ADMIN_TOKEN, FACES, Face, Timed, contents, id_of, open_timed, told
from tests.integration.simulator.running import Running

TENANTS: Final = "/admin/v1/tenants"
ACME: Final = f"{TENANTS}/acme"
ROUTES: Final = (
    ("GET", TENANTS),
    ("GET", ACME),
    ("PUT", ACME),
    ("DELETE", ACME),
    ("POST", f"{ACME}/suspend"),
    ("POST", f"{ACME}/resume"),
    ("GET", f"{ACME}/keys"),
    ("POST", f"{ACME}/keys"),
    ("DELETE", f"{ACME}/keys/key_1"),
    ("GET", "/admin/v1/usage"),
    ("GET", "/admin/v1/audit"),
)
BELOW_A_TENANT: Final = [(m, p.removeprefix(ACME)) for m, p in ROUTES if p.startswith(ACME) and m != "PUT"]
FULL: Final[dict[str, Any]] = {
    "name": "Acme & Co",
    "weight": 3,
    "limits": {
        "rate_per_minute": 60,
        "burst": 10,
        "concurrency": 4,
        "daily": 500,
        "monthly": 10_000,
        "budget_usd": "250.00",
        "max_queued": None,
        "shadow": ["daily"],
    },
    "models": ["openai/*"],
    "callback_allow": ["10.0.0.0/8", "*.svc.cluster.local"],
}
FILE: Final = """
[tenants.acme]
name = "From the file"
limits = { daily = 5 }
"""

on_every_route = pytest.mark.parametrize(("method", "path"), ROUTES)


@pytest.fixture
async def timed(redis_url: str, simulator: Running) -> AsyncIterator[Timed]:
    """A gateway with an admin token."""
    async with open_timed(redis_url, simulator) as timed:
        yield timed


@on_every_route
async def test_without_a_token_there_is_no_admin_face(gateway: Gateway, method: str, path: str) -> None:
    """404 for everybody, as for any path that never was."""
    for authorization in (f"Bearer {gateway.key}", f"Bearer {ADMIN_TOKEN}", "Bearer ", ""):
        answer = await gateway.client.request(method, path, json={}, headers={"authorization": authorization})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@on_every_route
async def test_only_the_token_opens_the_admin_face(timed: Timed, redis: Redis, method: str, path: str) -> None:
    """401 without one, with a wrong one and with a tenant's key, before anything is read or written."""
    before = await contents(redis)
    wrong = ("", "Bearer ", f"Basic {ADMIN_TOKEN}", f"Bearer {ADMIN_TOKEN}x", f"Bearer {ADMIN_TOKEN[:-1]}")
    for authorization in (*wrong, "Bearer caf\xe9", f"Bearer {timed.gateway.key}"):
        headers = {b"authorization": authorization.encode("latin-1")}
        answer = await timed.gateway.client.request(method, path, content=b"{", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert ADMIN_TOKEN not in answer.text
    assert await contents(redis) == before


async def test_an_operator_is_no_tenant(timed: Timed) -> None:
    """The token opens no tenant's routes."""
    for path in ("/v1/quota", "/api/v3/balance", "/v1/endpoints"):
        assert (await timed.operator.get(path)).status_code == 401


async def test_a_put_creates_and_replaces(timed: Timed) -> None:
    """201 the first time, 200 after that; what is left out takes its default again."""
    created = await timed.operator.put(f"{TENANTS}/beta", json=FULL)
    assert (created.status_code, created.headers["content-type"]) == (201, "application/json")
    shown = created.json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {**FULL, "id": "beta", "state": "active", "managed": []}
    again = await timed.operator.put(f"{TENANTS}/beta", json=FULL)
    assert (again.status_code, again.json()) == (200, created.json())
    assert (await timed.operator.get(f"{TENANTS}/beta")).json() == created.json()
    bare = (await timed.operator.put(f"{TENANTS}/beta", json={})).json()
    assert (bare["name"], bare["weight"], bare["models"], bare["callback_allow"]) == ("beta", 1, None, None)
    assert bare["limits"] == {**dict.fromkeys(FULL["limits"]), "shadow": []}
    assert bare["created_at"] == created.json()["created_at"]


async def test_tenants_are_listed_by_id(timed: Timed) -> None:
    """Each as its own address shows it."""
    for tenant_id in ("zeta", "beta"):
        await timed.operator.put(f"{TENANTS}/{tenant_id}", json={})
    listed = (await timed.operator.get(TENANTS)).json()["data"]
    assert [tenant["id"] for tenant in listed] == ["acme", "beta", "zeta"]
    assert listed[0] == (await timed.operator.get(ACME)).json()


@pytest.mark.parametrize("field", ["models", "callback_allow"])
async def test_an_empty_list_stays_one(timed: Timed, field: str) -> None:
    """It allows nothing, and is shown as what it is."""
    put = await timed.operator.put(ACME, json={field: []})
    assert (put.status_code, put.json()[field]) == (200, [])
    assert (await timed.operator.get(ACME)).json()[field] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limits": {"daily": -1}}, "limits.daily"),
        ({"limits": {"daily": "5"}}, "limits.daily"),
        ({"limits": {"monthly": 10**10}}, "limits.monthly"),
        ({"limits": {"concurrency": 1.5}}, "limits.concurrency"),
        ({"limits": {"rate_per_minute": 0}}, "limits.rate_per_minute"),
        ({"limits": {"rate_per_minute": True}}, "limits.rate_per_minute"),
        ({"limits": {"burst": 5}}, "limits"),
        ({"limits": {"budget_usd": 5}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": "-5"}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": "1.2345678"}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": "9999999999"}}, "limits.budget_usd"),
        ({"limits": {"shadow": ["speed"]}}, "limits.shadow.0"),
        ({"limits": {"yearly": 5}}, "limits.yearly"),
        ({"limits": []}, "limits"),
        ({"models": ["openai/*", "a b"]}, "models.1"),
        ({"callback_allow": ["10.0.0.0/99"]}, "callback_allow"),
        ({"weight": 0}, "weight"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"state": "suspended"}, "state"),
    ],
)
async def test_a_wrong_field_is_named(timed: Timed, redis: Redis, body: dict[str, Any], field: str) -> None:
    """400 with its path and why; nothing is written, for a new tenant or one that exists."""
    before = await contents(redis)
    for path in (ACME, f"{TENANTS}/beta"):
        answer = await timed.operator.put(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), answer.text
        [error] = answer.json()["errors"]
        assert error["field"] == field
        assert error["message"]
    assert await contents(redis) == before


async def test_every_wrong_field_of_a_tenant_is_named(timed: Timed) -> None:
    """Not only the first."""
    body = {"limits": {"daily": -1, "monthly": "x"}, "weight": "heavy", "typo": 1}
    errors = (await timed.operator.put(ACME, json=body)).json()["errors"]
    assert {error["field"] for error in errors} == {"limits.daily", "limits.monthly", "weight", "typo"}


@pytest.mark.parametrize("tenant_id", ["Acme", "a_b", "-a", "a" * 64, "a.b", "acme:keys", "caf%C3%A9", "a%00"])
async def test_an_id_that_cannot_be_one_is_refused(timed: Timed, tenant_id: str) -> None:
    """400 that says what an id is: it becomes a label of metrics and part of keys."""
    answer = await timed.operator.put(f"{TENANTS}/{tenant_id}", json={})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "tenant")


@pytest.mark.parametrize("tenant_id", ["nobody", "acme:keys", "acme:predictions", "acme:usage:2027-01", "*"])
@pytest.mark.parametrize(("method", "route"), BELOW_A_TENANT)
async def test_what_is_no_tenant_is_not_there(
    timed: Timed, redis: Redis, tenant_id: str, method: str, route: str
) -> None:
    """404, or 400 for no id at all, and nothing is changed: no name reaches what belongs to a tenant."""
    await timed.accepted()
    before = await contents(redis)
    body = {"name": "ci"} if route == "/keys" else {}
    answer = await timed.operator.request(method, f"{TENANTS}/{tenant_id}{route}", json=body)
    assert answer.status_code in (400, 404), answer.text
    assert await contents(redis) == before


@pytest.mark.parametrize("face", FACES)
async def test_a_put_acts_on_the_next_submission(timed: Timed, simulator: Running, face: Face) -> None:
    """Over HTTP both ways, while the key's cached answer still knows the old tenant."""
    await timed.accepted(face)
    await timed.operator.put(ACME, json={"limits": {"daily": 1}})
    told(face, await timed.post(face), 429)
    await timed.operator.put(ACME, json={"limits": {"daily": 2}})
    await timed.accepted(face)
    assert posts_seen(simulator) == 2


@pytest.mark.parametrize("face", FACES)
async def test_a_suspended_tenant_may_not_submit(timed: Timed, simulator: Running, face: Face) -> None:
    """403 from the next submission on, with its results readable and its predictions going on; then it may again."""
    submitted = id_of(face, await timed.accepted(face))
    suspended = await timed.operator.post(f"{ACME}/suspend")
    assert (suspended.status_code, suspended.json()["state"]) == (200, "suspended")
    assert "suspended" in told(face, await timed.post(face), 403)
    for path in (f"/api/v3/predictions/{submitted}/result", f"/v1/predictions/{submitted}", "/v1/quota"):
        assert (await timed.gateway.client.get(path)).status_code == 200
    await timed.end(submitted)
    assert (await timed.gateway.result(submitted))["status"] == "completed"
    replaced = await timed.operator.put(ACME, json=FULL)
    assert replaced.json()["state"] == "suspended"
    resumed = await timed.operator.post(f"{ACME}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "active")
    await timed.accepted(face)
    assert posts_seen(simulator) == 2


@pytest.mark.parametrize("face", FACES)
async def test_a_tenant_is_deleted_when_nothing_of_it_runs(
    timed: Timed, redis: Redis, simulator: Running, face: Face
) -> None:
    """409 while a prediction goes on; then 204, and its keys are dead: at once for submissions, soon for all else."""
    submitted = [id_of(face, await timed.accepted(face)) for _ in range(2)]
    await timed.end(submitted[0])
    busy = await timed.operator.delete(ACME)
    assert (busy.status_code, busy.json()["code"]) == (409, "conflict")
    assert "1 predictions" in busy.json()["detail"]
    assert (await timed.gateway.client.get("/v1/quota")).status_code == 200
    await timed.end(submitted[1], "failed")
    gone = await timed.operator.delete(ACME)
    assert (gone.status_code, gone.content) == (204, b"")
    told(face, await timed.post(face), 404)
    timed.gateway.resources.authenticate.cache.clear()
    told(face, await timed.post(face), 401)
    assert (await timed.operator.get(TENANTS)).json() == {"data": []}
    assert (await timed.operator.delete(ACME)).status_code == 404
    assert posts_seen(simulator) == 2
    assert [key async for key in redis.scan_iter("bw:key:*")] == []


async def test_what_a_file_manages_is_not_changed_by_hand(timed: Timed) -> None:
    """409 that names the fields, unless forced; what the file does not name is free."""
    await timed.gateway.resources.apply_tenants(read_tenants_file(FILE))
    shown = (await timed.operator.get(ACME)).json()
    assert (shown["name"], shown["limits"]["daily"]) == ("From the file", 5)
    assert shown["managed"] == ["limits.daily", "name"]
    same = {"name": "From the file", "limits": {"daily": 5}}
    free = await timed.operator.put(ACME, json={**same, "limits": {"daily": 5, "monthly": 7}})
    assert (free.status_code, free.json()["limits"]["monthly"]) == (200, 7)
    for force in ("", "?force=false"):
        kept = await timed.operator.put(f"{ACME}{force}", json={"name": "By hand"})
        assert (kept.status_code, kept.json()["code"]) == (409, "conflict")
        assert "limits.daily, name: " in kept.json()["detail"]
    assert (await timed.operator.get(ACME)).json() == free.json()
    forced = await timed.operator.put(f"{ACME}?force=true", json={"name": "By hand"})
    assert (forced.status_code, forced.json()["name"], forced.json()["limits"]["daily"]) == (200, "By hand", None)
    wrong = await timed.operator.put(f"{ACME}?force=maybe", json={})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "force")
