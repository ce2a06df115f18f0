"""`GET /v1/quota` and `GET /api/v3/balance`: where a tenant stands, read without spending."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.integration.http.timed import Timed, contents, id_of, open_timed
from tests.integration.simulator.running import Running


@pytest.fixture
async def timed(redis_url: str, simulator: Running) -> AsyncIterator[Timed]:
    """A gateway on a clock that stands still."""
    async with open_timed(redis_url, simulator) as timed:
        yield timed


async def quota(timed: Timed) -> dict[str, Any]:
    """The quota as its tenant reads it."""
    answer = await timed.gateway.client.get("/v1/quota")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body: dict[str, Any] = answer.json()
    return body


async def balance(timed: Timed) -> float:
    """The balance as WaveSpeed's clients read it; in the older place it is the same."""
    answer = await timed.gateway.client.get("/api/v3/balance")
    older = await timed.gateway.client.get("/api/v3/account/balance")
    assert (older.status_code, older.json()) == (answer.status_code, answer.json())
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    body = answer.json()
    assert (body["code"], body["message"], set(body["data"])) == (200, "success", {"balance", "currency"})
    value: float = body["data"]["balance"]
    assert isinstance(value, int | float)
    return value


async def test_every_limit_is_shown(timed: Timed) -> None:
    """Limit, used, left, window and reset of each; money as text, everything else as numbers."""
    await timed.gateway.limit(
        rate_per_minute=60, burst=10, concurrency=4, daily=500, monthly=10_000, budget_usd="250.00", shadow=["daily"]
    )
    await timed.accepted("native")
    body = await quota(timed)
    month_end = "2027-02-01T00:00:00.000Z"
    rows = [
        ("rate", 10, 1, 9, 10, "2027-01-15T08:00:01.000Z", False),
        ("concurrency", 4, 1, 3, None, None, False),
        ("daily", 500, 1, 499, 86_400, "2027-01-16T00:00:00.000Z", True),
        ("monthly", 10_000, 1, 9_999, 31 * 86_400, month_end, False),
        ("budget", "250.00", "0.40", "249.60", 31 * 86_400, month_end, False),
    ]
    names = ("name", "limit", "used", "left", "window_s", "resets_at", "shadow")
    assert body["limits"] == [dict(zip(names, row, strict=True)) for row in rows]
    assert body["money"] == {"month": "2027-01", "held_usd": "0.40", "settled_usd": "0.00", "released_usd": "0.00"}


async def test_without_limits_only_money_is_shown(timed: Timed) -> None:
    """An empty list of limits, no header fields, and the month's money all the same."""
    await timed.accepted()
    body = await quota(timed)
    assert (body["limits"], body["money"]["held_usd"]) == ([], "0.40")
    assert "ratelimit" not in (await timed.gateway.client.get("/v1/quota")).headers


async def test_reading_spends_nothing(timed: Timed, redis: Redis) -> None:
    """The same answer with the header fields of submissions, however often, and nothing written."""
    await timed.gateway.limit(rate_per_minute=60, concurrency=4, daily=5, budget_usd="2")
    submitted = await timed.accepted("native")
    before = await contents(redis)
    answers = [await timed.gateway.client.get("/v1/quota") for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].headers["ratelimit-policy"] == submitted.headers["ratelimit-policy"]
    assert '"daily";r=4;t=57600' in answers[0].headers["ratelimit"]
    await balance(timed)
    assert await contents(redis) == before


async def test_money_moves_with_the_prediction(timed: Timed) -> None:
    """Held while it runs, settled when it completes, released when it fails; the balance follows."""
    await timed.gateway.limit(budget_usd="2.00", concurrency=2)
    assert await balance(timed) == 2
    first, second = [id_of("native", await timed.accepted("native")) for _ in range(2)]
    assert await balance(timed) == pytest.approx(1.2)
    await timed.end(first)
    body = await quota(timed)
    assert body["money"] == {"month": "2027-01", "held_usd": "0.40", "settled_usd": "0.40", "released_usd": "0.00"}
    assert [row["used"] for row in body["limits"]] == [1, "0.80"]
    assert await balance(timed) == pytest.approx(1.2)
    await timed.end(second, "failed")
    body = await quota(timed)
    assert body["money"] == {"month": "2027-01", "held_usd": "0.00", "settled_usd": "0.40", "released_usd": "0.40"}
    assert [(row["used"], row["left"]) for row in body["limits"]] == [(0, 2), ("0.40", "1.60")]
    assert await balance(timed) == pytest.approx(1.6)


async def test_a_balance_without_a_budget_is_a_million(timed: Timed) -> None:
    """Clients that stop at zero do not stop; what was spent is no matter."""
    await timed.accepted()
    assert await balance(timed) == 1_000_000


async def test_nothing_left_is_never_below_zero(timed: Timed) -> None:
    """After a limit was lowered below what is used."""
    await timed.gateway.limit(daily=2, budget_usd="1")
    for _ in range(2):
        await timed.accepted()
    await timed.gateway.limit(daily=1, budget_usd="0.10")
    assert await balance(timed) == 0
    assert [(row["limit"], row["used"], row["left"]) for row in (await quota(timed))["limits"]] == [
        (1, 2, 0),
        ("0.10", "0.80", "0.00"),
    ]


async def test_a_new_month_begins_anew(timed: Timed) -> None:
    """Counts and budget are the new window's; a prediction that ends then is booked to its own month."""
    await timed.gateway.limit(daily=1, monthly=1, budget_usd="0.40")
    running = id_of("wavespeed", await timed.accepted())
    timed.clock.advance(17 * 86_400)
    assert await balance(timed) == pytest.approx(0.4)
    await timed.end(running)
    body = await quota(timed)
    assert [row["used"] for row in body["limits"]] == [0, 0, "0.00"]
    assert body["money"]["month"] == "2027-02"
    january = await timed.gateway.resources.ledger.ledger("acme", "2027-01")
    assert (january.held, january.settled) == (0, 400_000)


async def test_each_tenant_reads_its_own(timed: Timed) -> None:
    """Another tenant's use changes nothing here, and no key reads nothing."""
    other = await timed.gateway.key_of("other")
    await timed.gateway.limit(daily=5)
    await timed.gateway.limit("other", daily=7)
    await timed.accepted(key=other)
    assert [(row["limit"], row["used"]) for row in (await quota(timed))["limits"]] == [(5, 0)]
    for path in ("/v1/quota", "/api/v3/balance", "/api/v3/account/balance"):
        assert (await timed.gateway.client.get(path, headers={"authorization": "Bearer no"})).status_code == 401
