"""Deliveries: attempts counted before they are made, their ends recorded once, whoever came late."""

from typing import Any

import pytest
from pydantic_core import from_json

from service.domain.deliveries import Delivery, DeliveryState
from service.stores.delivery_log import Unsendable
from tests.integration.stores.stack import START_MS, Stack

DELIVERY = "bw:delivery:p1-1-callback"
FORTNIGHT_MS = 14 * 86_400_000


@pytest.fixture
async def owed(acme: Stack) -> Stack:
    """The stores with one delivery owed, `p1-1-callback`."""
    assert await acme.owe_delivery(callback_url="http://127.0.0.1:9/hook") == "p1-1-callback"
    return acme


async def delivery(stack: Stack) -> Delivery:
    """The delivery as it stands."""
    found = await stack.deliveries.load("p1-1-callback")
    assert found is not None
    return found


async def start(stack: Stack, token: str) -> int:
    """Start an attempt; its number, 0 when it must not be made."""
    attempt = await stack.deliveries.start_attempt("p1-1-callback", token)
    assert not isinstance(attempt, Unsendable)
    return attempt.number if attempt else 0


async def finish(
    stack: Stack, token: str, state: DeliveryState, attempt: dict[str, Any], next_attempt_s: float = 0.0
) -> bool:
    """Finish an attempt; whether the lease was still ours."""
    return (await stack.deliveries.finish_attempt(await delivery(stack), token, state, attempt, next_attempt_s)).ours


async def state_of(stack: Stack) -> tuple[str, int]:
    """State and attempts of the delivery."""
    delivery = await stack.deliveries.load("p1-1-callback")
    assert delivery is not None
    return delivery.state, delivery.attempts


async def attempts_of(stack: Stack) -> list[int]:
    """Numbers of the attempts kept, newest first."""
    return [from_json(raw)["number"] for raw in await stack.commands("LRANGE", f"{DELIVERY}:attempts", 0, -1)]


async def test_a_delivery_that_is_gone_reads_as_none(stack: Stack) -> None:
    """What was never owed, or has lived its time, is None."""
    assert await stack.deliveries.load("p1-1-callback") is None


async def test_an_attempt_is_counted_before_it_is_made(owed: Stack) -> None:
    """A worker that dies while sending leaves its attempt counted, so that crashes use attempts up."""
    for number in (1, 2, 3):
        token = await owed.lease_one("p1-1-callback")
        assert await start(owed, token) == number
        assert await state_of(owed) == ("pending", number)
        owed.clock.advance(25)  # it died; the lease ends


async def test_a_lost_lease_starts_no_attempt(owed: Stack) -> None:
    """Whoever lost the delivery to another worker does not send, and counts nothing."""
    lost = await owed.lease_one("p1-1-callback")
    owed.clock.advance(25)
    await owed.lease_one("p1-1-callback")
    before = await owed.dump()
    assert await start(owed, lost) == 0
    assert await owed.dump() == before


@pytest.mark.parametrize("state", ["delivered", "dead"])
async def test_what_has_ended_is_not_attempted(owed: Stack, state: str) -> None:
    """A delivery that somehow is due after its end is dropped from the due set instead of sent again."""
    await owed.commands("HSET", DELIVERY, "state", state)
    token = await owed.lease_one("p1-1-callback")
    assert await start(owed, token) == 0
    assert await owed.due("deliver") == {}
    assert await state_of(owed) == (state, 0)


async def test_a_success_ends_the_delivery(owed: Stack) -> None:
    """Delivered: nothing more is due, the attempt is kept, and nothing is dead."""
    token = await owed.lease_one("p1-1-callback")
    number = await start(owed, token)
    assert await finish(owed, token, "delivered", {"number": number, "status": 204})
    assert await state_of(owed) == ("delivered", 1)
    assert await owed.due("deliver") == {}
    assert await attempts_of(owed) == [1]
    assert await owed.commands("HGET", DELIVERY, "last_attempt_at_ms") == str(START_MS).encode()
    assert not await owed.redis.exists("bw:dead")
    for key in (DELIVERY, f"{DELIVERY}:attempts"):
        assert FORTNIGHT_MS - 60_000 < await owed.ttl_ms(key) <= FORTNIGHT_MS


async def test_a_failure_comes_back_after_its_delay(owed: Stack) -> None:
    """Pending: the delivery is due again after the delay, counted from when the attempt ended."""
    token = await owed.lease_one("p1-1-callback")
    number = await start(owed, token)
    owed.clock.advance(4)
    assert await finish(owed, token, "pending", {"number": number}, 5.5)
    assert await state_of(owed) == ("pending", 1)
    assert await owed.due("deliver") == {"p1-1-callback": START_MS + 4_000 + 5_500}
    assert await start(owed, token) == 0, "the lease is used up"


async def test_the_last_failure_goes_on_the_dead_letter_list(owed: Stack) -> None:
    """Dead: nothing more is due, and the dead-letter list holds it by the time it was given up."""
    token = await owed.lease_one("p1-1-callback")
    number = await start(owed, token)
    assert await finish(owed, token, "dead", {"number": number})
    assert await state_of(owed) == ("dead", 1)
    assert await owed.due("deliver") == {}
    assert await owed.redis.zrange("bw:dead", 0, -1, withscores=True) == [(b"p1-1-callback", START_MS)]


async def test_the_dead_letter_list_is_bounded(owed: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list keeps the newest of what was given up; the oldest leave it."""
    monkeypatch.setattr("service.stores.keys.DEAD_LETTERS", 3)
    await owed.redis.zadd("bw:dead", {f"old-{n}": START_MS - 3 + n for n in range(3)})
    token = await owed.lease_one("p1-1-callback")
    await finish(owed, token, "dead", {"number": 1})
    assert await owed.redis.zrange("bw:dead", 0, -1) == [b"old-1", b"old-2", b"p1-1-callback"]


async def test_only_the_newest_twenty_attempts_are_kept(owed: Stack) -> None:
    """The list of attempts is bounded, newest first, however often somebody tries."""
    for number in range(1, 24):
        token = await owed.lease_one("p1-1-callback")
        assert await start(owed, token) == number
        assert await finish(owed, token, "pending", {"number": number}, 1.0)
        owed.clock.advance(1)
    assert await attempts_of(owed) == list(range(23, 3, -1))


async def test_a_late_failure_from_a_lost_lease_only_leaves_a_note(owed: Stack) -> None:
    """Another worker has the delivery by now: a failure that comes late decides nothing."""
    lost = await owed.lease_one("p1-1-callback")
    owed.clock.advance(25)
    token = await owed.lease_one("p1-1-callback")
    due = await owed.due("deliver")
    for verdict in ("pending", "dead"):
        assert not await finish(owed, lost, "pending" if verdict == "pending" else "dead", {"number": 1}, 1.0)
    assert await owed.due("deliver") == due
    assert await state_of(owed) == ("pending", 0)
    assert await attempts_of(owed) == [1, 1]
    assert not await owed.redis.exists("bw:dead")
    assert await start(owed, token) == 1


async def test_a_late_success_from_a_lost_lease_still_counts(owed: Stack) -> None:
    """The receiver has it: a success ends the delivery whoever holds the lease, and the other worker stops."""
    lost = await owed.lease_one("p1-1-callback")
    owed.clock.advance(25)
    token = await owed.lease_one("p1-1-callback")
    assert not await finish(owed, lost, "delivered", {"number": 1})
    assert await state_of(owed) == ("delivered", 0)
    assert await owed.due("deliver") == {}
    assert await start(owed, token) == 0
    assert not await finish(owed, token, "dead", {"number": 2})
    assert await state_of(owed) == ("delivered", 0), "a failure does not undo it"
    assert not await owed.redis.exists("bw:dead")


async def test_a_success_that_comes_after_giving_up_leaves_no_dead_letter(owed: Stack) -> None:
    """What the receiver has in the end is not listed as given up."""
    lost = await owed.lease_one("p1-1-callback")
    owed.clock.advance(25)
    token = await owed.lease_one("p1-1-callback")
    await finish(owed, token, "dead", {"number": 2})
    await finish(owed, lost, "delivered", {"number": 1})
    assert await state_of(owed) == ("delivered", 0)
    assert await owed.redis.zrange("bw:dead", 0, -1) == []


async def test_an_attempt_at_a_delivery_that_is_gone_writes_nothing(owed: Stack) -> None:
    """A record that ended its life meanwhile is not begun anew, and is not due any more."""
    token = await owed.lease_one("p1-1-callback")
    leased = await delivery(owed)
    await owed.redis.delete(DELIVERY)
    assert await start(owed, token) == 0
    assert not (await owed.deliveries.finish_attempt(leased, token, "pending", {"number": 1}, 1.0)).ours
    owed.clock.advance(25)
    assert (await owed.schedule.lease("deliver", 10, 25.0)).ids == ()
    assert not await owed.redis.exists(DELIVERY, f"{DELIVERY}:attempts")
    assert await owed.due("deliver") == {}
