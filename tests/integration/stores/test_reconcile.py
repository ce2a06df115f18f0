"""The books checked against the predictions: what drifted is mended and counted, what moves is left alone."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from service.domain.limits import Limits
from service.domain.moves import ended_by_gateway
from service.domain.predictions import State
from service.stores.answers import pairs
from service.stores.books import Books, Month
from service.usecases.reconcile import Reconcile
from tests.integration.stores.stack import Stack

DAY, MONTH = "2027-01-15", "2027-01"
MODEL = "openai/sora-2"
LEDGER, USAGE, SLOTS = f"bw:tenant:acme:ledger:{MONTH}", f"bw:tenant:acme:usage:{MONTH}", "bw:tenant:acme:slots"


def reconcile_of(stack: Stack, books: Books | None = None) -> Reconcile:
    """The use case over a test's stores."""
    books = books or Books(stack.commands, stack.scripts)
    return Reconcile(stack.tenants, stack.ledger, books, stack.metrics, stack.clock.s)


async def hash_of(stack: Stack, key: str) -> dict[bytes, bytes]:
    """A hash as it stands."""
    return pairs(await stack.commands("HGETALL", key))


async def busy(stack: Stack) -> None:
    """One prediction of each kind, and one that was refused."""
    await stack.complete(await stack.confirm(await stack.admit("done")))
    failed = await stack.admit("failed")
    await stack.write(failed, ended_by_gateway(failed, State.FAILED, "no", stack.clock.ms()))
    await stack.confirm(await stack.admit("running"))
    await stack.ledger.withdraw(await stack.admit("refused"))


async def test_sound_books_are_left_as_they_are(acme: Stack) -> None:
    """Nothing is written and nothing counted."""
    await busy(acme)
    before = await acme.dump()
    assert await reconcile_of(acme)() == 0
    assert await acme.dump() == before


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        (LEDGER, "held", 0),
        (LEDGER, "settled", 1_000_000),
        (LEDGER, "released", 7),
        (LEDGER, "ever", 1),
        (LEDGER, "admitted", 99),
        (LEDGER, f"admitted:{DAY}", 0),
        (USAGE, f"{DAY}|{MODEL}|held", 0),
        (USAGE, f"{DAY}|{MODEL}|settled", 5),
        (USAGE, f"{DAY}|{MODEL}|released", 0),
        (USAGE, f"{DAY}|{MODEL}|admitted", 0),
        (USAGE, f"{DAY}|{MODEL}|completed", 3),
        (USAGE, f"{DAY}|another/model|held", 400_000),
    ],
)
async def test_every_entry_that_drifted_is_mended(acme: Stack, key: str, field: str, value: int) -> None:
    """Whatever number is wrong, it is what the predictions say afterwards, and somebody can see that it was wrong."""
    await busy(acme)
    sound = {name: await hash_of(acme, name) for name in (LEDGER, USAGE)}
    await acme.commands("HSET", key, field, str(value))
    assert await reconcile_of(acme)() > 0
    mended = {name: await hash_of(acme, name) for name in (LEDGER, USAGE)}
    assert _numbers(mended) == _numbers(sound)
    assert acme.sample("breakwater_ledger_drift_total", kind="ledger" if key == LEDGER else "usage") > 0
    assert await reconcile_of(acme)() == 0


def _numbers(books: Mapping[str, Mapping[bytes, bytes]]) -> dict[str, dict[str, int]]:
    """Every entry that is not zero: an entry that is absent and one that is zero mean the same."""
    return {
        name: {field.decode(): int(value) for field, value in entries.items() if int(value)}
        for name, entries in books.items()
    }


async def test_slots_are_those_of_predictions_that_go_on(acme: Stack) -> None:
    """A slot of one that has ended, or never was, is freed; one that is missing is given back."""
    await busy(acme)
    await acme.redis.zadd(SLOTS, {"done": 1, "ghost": 2})
    await acme.redis.zrem(SLOTS, "running")
    assert await reconcile_of(acme)() == 3
    assert await acme.redis.zrange(SLOTS, 0, -1) == [b"running"]
    assert acme.sample("breakwater_ledger_drift_total", kind="slot") == 3


class Meddling(Books):
    """Books in which something is booked whenever they were read."""

    stack: Stack
    admitted = 0

    async def month(self, tenant_id: str, month: str) -> Month:
        """Read, then admit one more."""
        read = await super().month(tenant_id, month)
        self.admitted += 1
        await self.stack.admit(f"more-{self.admitted}")
        return read


async def test_a_day_that_moves_is_left_alone(acme: Stack) -> None:
    """What is booked while predictions are read is never undone: the day is left to the next run."""
    await busy(acme)
    await acme.commands("HSET", USAGE, f"{DAY}|{MODEL}|held", "0")
    meddling = Meddling(acme.commands, acme.scripts)
    meddling.stack = acme
    await reconcile_of(acme, meddling)()
    await reconcile_of(acme)()
    ledger = await acme.ledger.ledger("acme", MONTH)
    assert ledger.conserved
    assert ledger.held == (1 + meddling.admitted) * 400_000
    assert ledger.admitted == 3 + meddling.admitted


async def test_many_bookings_at_once_do_not_disturb_it(acme: Stack) -> None:
    """Admissions, ends and reconciliations all at once leave books that are sound."""

    async def life(number: int) -> None:
        await acme.complete(await acme.confirm(await acme.admit(f"p{number}")))

    works: list[Any] = [life(number) for number in range(60)]
    await asyncio.gather(*works, *(reconcile_of(acme)() for _ in range(5)))
    ledger = await acme.ledger.ledger("acme", MONTH)
    assert (ledger.held, ledger.settled, ledger.admitted) == (0, 60 * 400_000, 60)
    assert ledger.conserved
    assert await reconcile_of(acme)() == 0


async def test_old_days_keep_what_can_no_longer_be_counted(acme: Stack) -> None:
    """Ended predictions are forgotten after a week: the days they were booked to stay as they are."""
    await busy(acme)
    acme.clock.advance(9 * 86_400)
    for key in ("done", "failed"):
        await acme.redis.delete(f"bw:prediction:{key}")
    before = await hash_of(acme, USAGE)
    assert await reconcile_of(acme)() == 0
    assert await hash_of(acme, USAGE) == before


async def test_a_thousand_tenants_are_measured_in_few_batches(stack: Stack) -> None:
    """Each of them, without a round trip for each: a worker has fifteen seconds for it."""
    ids = [f"team-{number:04}" for number in range(1000)]
    await asyncio.gather(*(stack.add_tenant(one, limits=Limits(budget_micros=4_000_000)) for one in ids))
    sent = stack.commands.batches_sent
    await reconcile_of(stack).measure()
    assert stack.commands.batches_sent - sent <= 100, "two for every twenty tenants"
    (family,) = stack.metrics.budget.collect()
    limits = {one.labels["tenant"]: one.value for one in family.samples if one.labels["kind"] == "limit"}
    assert limits == dict.fromkeys(ids, 4.0)


async def test_gauges_show_how_far_limits_are_used(stack: Stack) -> None:
    """Share used of each limit and the month's money, for tenants that exist."""
    await stack.add_tenant(limits=Limits(concurrency=4, daily=10, budget_micros=4_000_000))
    await stack.add_tenant("idle")
    await busy(stack)
    await reconcile_of(stack).measure()
    used = "breakwater_quota_used_ratio"
    assert stack.sample(used, tenant="acme", limit="concurrency") == 0.25
    assert stack.sample(used, tenant="acme", limit="daily") == 0.3
    assert stack.sample(used, tenant="acme", limit="budget") == 0.2
    money = {kind: stack.sample("breakwater_budget_dollars", tenant="acme", kind=kind) for kind in ("held", "limit")}
    assert money == {"held": 0.4, "limit": 4.0}
    await stack.redis.delete("bw:tenant:acme")
    await stack.commands("SREM", "bw:tenants", "acme")
    await reconcile_of(stack).measure()
    assert stack.metrics.registry.get_sample_value(used, {"tenant": "acme", "limit": "daily"}) is None
