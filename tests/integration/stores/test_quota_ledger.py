"""Admission against the limits: what it costs, and what it does at the edges of time."""

import asyncio

import pytest

from service.domain.errors import IdempotencyConflict
from service.domain.limits import Limits, QuotaExceeded
from service.domain.moves import ended_by_gateway
from service.domain.predictions import State
from service.stores.quota_ledger import LIVE_MS, IdempotencyKey
from tests.integration.stores.stack import Stack, intent

EVERY = Limits(600, 100, 100, 1000, 10_000, 10**12)


async def test_admission_with_every_limit_is_one_round_trip(stack: Stack) -> None:
    """Limits, money, idempotency and the record itself: one command to Redis in one batch."""
    await stack.add_tenant(limits=EVERY)
    await stack.admit("warm")  # from here on the server knows the script
    await stack.commands("CONFIG", "RESETSTAT")
    sent = stack.commands.batches_sent
    admission = await stack.ledger.admit(intent("p1"), 70.0, 3600.0, IdempotencyKey("digest", "fingerprint"))
    assert stack.commands.batches_sent == sent + 1
    stats = await stack.redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert [state.name for state in admission.states] == ["rate", "concurrency", "daily", "monthly", "budget"]


@pytest.mark.parametrize("kind", ["rate", "concurrency", "daily", "monthly", "budget"])
async def test_of_many_at_once_exactly_as_many_as_fit_get_in(stack: Stack, kind: str) -> None:
    """Not one more, and what was refused left nothing."""
    limits = {
        "rate": Limits(1, 7),
        "concurrency": Limits(concurrency=7),
        "daily": Limits(daily=7),
        "monthly": Limits(monthly=7),
        "budget": Limits(budget_micros=7 * 400_000),
    }[kind]
    await stack.add_tenant(limits=limits)
    tries = await asyncio.gather(*(stack.admit(f"p{n}") for n in range(60)), return_exceptions=True)
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in tries) == 53
    assert len(await stack.redis.keys("bw:prediction:*")) == 7


async def test_a_rate_comes_back_one_by_one(stack: Stack) -> None:
    """After the burst, one submission each `60 / rate` seconds, and not a millisecond earlier."""
    await stack.add_tenant(limits=Limits(20, 2))
    await stack.admit("a")
    await stack.admit("b")
    stack.clock.advance(2.999)
    with pytest.raises(QuotaExceeded) as refused:
        await stack.admit("c")
    assert refused.value.states[0].resets_in_ms == 1
    stack.clock.advance(0.001)
    await stack.admit("c")
    with pytest.raises(QuotaExceeded):
        await stack.admit("d")


async def test_counts_begin_anew_with_the_utc_day_and_month(stack: Stack) -> None:
    """At midnight in UTC; what was admitted before is booked to its own day, even if it ends later."""
    await stack.add_tenant(limits=Limits(daily=1))
    before = await stack.confirm(await stack.admit("a"))
    with pytest.raises(QuotaExceeded):
        await stack.admit("b")
    stack.clock.advance(16 * 3600)  # the tests' clock starts at 08:00
    await stack.admit("b")
    await stack.complete(before)
    rows = {row.day: dict(row.numbers) for row in await stack.ledger.usage("acme", "2027-01")}
    assert rows["2027-01-15"] == {"admitted": 1, "held": 0, "settled": 400_000, "completed": 1}
    assert rows["2027-01-16"] == {"admitted": 1, "held": 400_000}


async def test_what_expired_goes_on_holding_its_money(acme: Stack) -> None:
    """Upstream it may still finish and be paid; only the slot is free."""
    before = await acme.confirm(await acme.admit())
    await acme.write(before, ended_by_gateway(before, State.EXPIRED, "expired", acme.clock.ms()))
    ledger = await acme.ledger.ledger("acme", "2027-01")
    assert (ledger.held, ledger.settled, ledger.released) == (400_000, 0, 0)
    assert await acme.commands("ZCARD", "bw:tenant:acme:slots") == 0


async def test_a_copy_waits_for_the_first_and_then_gets_its_prediction(acme: Stack) -> None:
    """While the first may still be answered a copy is told so; when its gateway must have died, it gets the id."""
    key = IdempotencyKey("digest", "fingerprint")
    await acme.ledger.admit(intent("p1"), 70.0, 3600.0, key)
    acme.clock.advance(LIVE_MS / 1000 - 0.001)
    with pytest.raises(IdempotencyConflict):
        await acme.ledger.admit(intent("p2"), 70.0, 3600.0, key)
    acme.clock.advance(0.001)
    assert (await acme.ledger.admit(intent("p2"), 70.0, 3600.0, key)).replayed_id == "p1"
    assert await acme.predictions.load("p2") is None
