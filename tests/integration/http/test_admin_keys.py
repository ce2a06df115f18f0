"""The operators' face: a tenant's keys."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.domain.api_keys import digest
from tests.integration.http.timed import Timed, open_timed
from tests.integration.simulator.running import Running

KEYS: Final = "/admin/v1/tenants/acme/keys"
KEY_FIELDS: Final = {"id", "name", "created_at", "last_used_at", "expires_at"}


@pytest.fixture
async def timed(redis_url: str, simulator: Running) -> AsyncIterator[Timed]:
    """A gateway with an admin token."""
    async with open_timed(redis_url, simulator) as timed:
        yield timed


async def created(timed: Timed, name: str = "ci", **more: Any) -> dict[str, Any]:
    """Issue a key."""
    answer = await timed.operator.post(KEYS, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def status_with(timed: Timed, key: str) -> int:
    """What a request with that key is answered, with nothing cached."""
    timed.gateway.resources.authenticate.cache.clear()
    return (await timed.gateway.client.get("/v1/endpoints", headers={"authorization": f"Bearer {key}"})).status_code


async def test_a_key_is_shown_once(timed: Timed, redis: Redis) -> None:
    """In the answer to its creation, which nothing on the way keeps; Redis has its digest and never itself."""
    answer = await timed.operator.post(KEYS, json={"name": "ci"})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    shown = answer.json()
    key = shown.pop("key")
    assert shown.pop("sha256") == f"sha256:{digest(key)}"
    assert (set(shown), shown["name"], shown["last_used_at"], shown["expires_at"]) == (KEY_FIELDS, "ci", None, None)
    listed = await timed.operator.get(KEYS)
    assert shown in listed.json()["data"]
    assert key not in listed.text
    assert await status_with(timed, key) == 200
    assert await redis.exists(f"bw:key:{digest(key)}") == 1
    for name in [name async for name in redis.scan_iter("bw:*")]:
        kind = await redis.type(name)
        held = await redis.hgetall(name) if kind == b"hash" else await redis.dump(name)  # type: ignore[misc] # sync or async
        assert key not in str(held)


async def test_keys_are_listed_with_their_dates(timed: Timed) -> None:
    """Oldest first: when made, when last used, when they expire; all of one form."""
    key = await created(timed, "short", expires_in_days=1)
    assert await status_with(timed, key["key"]) == 200
    listed = (await timed.operator.get(KEYS)).json()["data"]
    assert [(each["name"], set(each)) for each in listed] == [("test", KEY_FIELDS), ("short", KEY_FIELDS)]
    short = listed[1]
    assert all(short[name].endswith("Z") for name in ("created_at", "last_used_at", "expires_at"))
    assert short["created_at"] <= short["last_used_at"] < short["expires_at"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "ci", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "ci", "expires_in_days": 3651}, "expires_in_days"),
        ({"name": "ci", "expires_in_days": "1"}, "expires_in_days"),
        ({"name": "ci", "key": "bw_mine"}, "key"),
    ],
)
async def test_a_wrong_field_of_a_key_is_named(timed: Timed, body: dict[str, Any], field: str) -> None:
    """400, and no key is made."""
    answer = await timed.operator.post(KEYS, json=body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert len((await timed.operator.get(KEYS)).json()["data"]) == 1


async def test_days_may_be_written_with_a_fraction_of_nothing(timed: Timed) -> None:
    """JSON's 30.0 is a whole number."""
    answer = await timed.operator.post(KEYS, json={"name": "ci", "expires_in_days": 30.0})
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_at"] is not None


async def test_a_revoked_key_is_dead(timed: Timed) -> None:
    """204, gone from the list, 401 once the few seconds of the cache are over; other keys live on."""
    key = await created(timed)
    assert await status_with(timed, key["key"]) == 200
    revoked = await timed.operator.delete(f"{KEYS}/{key['id']}")
    assert (revoked.status_code, revoked.content) == (204, b"")
    assert await status_with(timed, key["key"]) == 401
    assert await status_with(timed, timed.gateway.key) == 200
    assert [each["name"] for each in (await timed.operator.get(KEYS)).json()["data"]] == ["test"]
    assert (await timed.operator.delete(f"{KEYS}/{key['id']}")).status_code == 404


async def test_a_key_is_revoked_by_its_own_tenant_alone(timed: Timed) -> None:
    """Under another tenant it is not there."""
    key = await created(timed)
    await timed.operator.put("/admin/v1/tenants/other", json={})
    assert (await timed.operator.delete(f"/admin/v1/tenants/other/keys/{key['id']}")).status_code == 404
    assert await status_with(timed, key["key"]) == 200


async def test_an_expired_key_is_refused(timed: Timed, redis: Redis) -> None:
    """401 like an unknown one, and the list still says when it expired."""
    key = await created(timed, expires_in_days=1)
    record = f"bw:key:{digest(key['key'])}"
    lasts_ms = int(await redis.hget(record, "expires_at_ms")) - int(await redis.hget(record, "created_at_ms"))  # type: ignore[misc] # sync or async
    assert lasts_ms == 86_400_000
    assert await status_with(timed, key["key"]) == 200
    await redis.hset(record, "expires_at_ms", "1800000000")  # type: ignore[misc] # sync or async
    assert await status_with(timed, key["key"]) == 401
    assert (await timed.operator.get(KEYS)).json()["data"][1]["expires_at"] == "1970-01-21T20:00:00.000Z"


async def test_keys_are_bounded(timed: Timed) -> None:
    """The hundred and first is refused in so many words."""
    for number in range(99):
        await timed.gateway.resources.administer.create_key("acme", f"n{number}")
    answer = await timed.operator.post(KEYS, json={"name": "one more"})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many")
    assert "100 keys" in answer.json()["detail"]
