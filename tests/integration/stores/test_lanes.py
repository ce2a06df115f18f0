"""Lanes: each receiver's deliveries on their own, a breaker for each, and nobody waits for another's trouble."""

from typing import Final

import pytest

from service.domain.deliveries import DeliveryState
from service.domain.lanes import BREAKER_HOLD_S, BREAKER_MAX_HOLD_S, BREAKER_TROUBLES, Sign
from service.stores.delivery_log import Finished
from service.stores.lane_health import Health, LaneHealth
from tests.integration.stores.stack import START_MS, Stack

PLACES: Final = 8


async def owe(stack: Stack, *predictions: str) -> None:
    """Bring predictions to their end, with a delivery to each endpoint of `acme`."""
    for prediction_id in predictions:
        await stack.complete(await stack.confirm(await stack.admit(prediction_id)))


async def leased(stack: Stack, limit: int = 100, lease_s: float = 25.0) -> list[tuple[str, str]]:
    """What can be leased now: delivery and token."""
    taken = await stack.schedule.lease("deliver", limit, lease_s)
    return [(delivery_id, taken.token) for delivery_id in taken.ids]


def endpoints_of(taken: list[tuple[str, str]]) -> list[str]:
    """Whose deliveries they are."""
    return [delivery_id.rpartition("-")[2] for delivery_id, _ in taken]


async def finish(
    stack: Stack, one: tuple[str, str], sign: Sign, state: DeliveryState = "pending", next_s: float = 0.0
) -> Finished:
    """End an attempt at a leased delivery with what it says of its receiver."""
    delivery = await stack.deliveries.load(one[0])
    assert delivery is not None
    return await stack.deliveries.finish_attempt(delivery, one[1], state, {"error": "broke"}, next_s, sign)


async def health(stack: Stack, lane: str = "ep_1") -> Health:
    """How a receiver has been doing."""
    return await LaneHealth(stack.commands).of(lane, stack.clock.ms())


async def open_breaker(stack: Stack) -> None:
    """Have as many attempts at `ep_1` find nobody as it takes."""
    for number in range(BREAKER_TROUBLES):
        (one,) = await leased(stack, limit=1)
        finished = await finish(stack, one, "trouble")
        assert finished.breaker == ("opened" if number == BREAKER_TROUBLES - 1 else "")


async def test_a_receiver_has_no_more_in_hand_than_its_places(acme: Stack) -> None:
    """However much one receiver is owed, the next one's delivery is leased at once."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(20)))
    await acme.add_endpoint("ep_2", "prediction.failed")
    taken = await leased(acme)
    assert endpoints_of(taken) == ["ep_1"] * PLACES
    assert await leased(acme) == []
    await acme.add_endpoint("ep_3")
    await owe(acme, "later")
    assert endpoints_of(await leased(acme)) == ["ep_3"]


async def test_an_end_makes_room_for_one_more(acme: Stack) -> None:
    """Whoever ends an attempt is told that its receiver has more, and finds as much as there is room for."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(10)))
    first, *_ = await leased(acme)
    assert (await finish(acme, first, "well", "delivered")).more
    (ninth,) = await leased(acme)
    assert (await finish(acme, ninth, "well", "pending", 60.0)).more, "the tenth"
    (tenth,) = await leased(acme)
    assert not (await finish(acme, tenth, "well", "delivered")).more, "what is left is in hand, or waits for a minute"


async def test_receivers_take_turns(acme: Stack) -> None:
    """With fewer places than there is work, no receiver with a long queue is always first."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(40)))
    acme.clock.advance(10)
    await acme.add_endpoint("ep_2")
    await owe(acme, "q1", "q2")
    served: list[str] = []
    for _ in range(6):
        taken = await leased(acme, limit=4)
        served += endpoints_of(taken)
        acme.clock.advance(0.1)
        for one in taken:
            await finish(acme, one, "well", "delivered")
    assert served.index("ep_2") <= 2 * PLACES


async def test_a_dead_worker_s_deliveries_are_taken_over_when_its_lease_ends(acme: Stack) -> None:
    """What it had in hand comes back into the lane by itself, and its tokens are worth nothing then."""
    await acme.add_endpoint("ep_1")
    await owe(acme, "p1")
    (lost,) = await leased(acme)
    acme.clock.advance(24.9)
    assert await leased(acme) == []
    acme.clock.advance(0.1)
    (again,) = await leased(acme)
    assert again[0] == lost[0]
    assert not (await finish(acme, lost, "trouble", "pending", 5.0)).ours
    assert (await finish(acme, again, "well", "delivered")).ours


async def test_nothing_is_sent_while_the_breaker_is_open(acme: Stack) -> None:
    """After troubles in a row its deliveries wait, uncounted; another receiver's do not."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(20)))
    await open_breaker(acme)
    assert (await health(acme)).breaker == "open"
    assert await leased(acme) == []
    await acme.add_endpoint("ep_2")
    await owe(acme, "q1")
    assert endpoints_of(await leased(acme)) == ["ep_2"]
    next_due_s = (await acme.schedule.lease("deliver", 10, 25.0)).next_due_s
    assert next_due_s is not None
    assert next_due_s <= 25.0


async def test_one_delivery_tries_when_the_time_is_over(acme: Stack) -> None:
    """Half open: exactly one; in vain the breaker opens for twice as long, up to a bound."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(20)))
    await open_breaker(acme)
    hold_s = BREAKER_HOLD_S
    for _ in range(8):
        acme.clock.advance(hold_s - 0.001)
        assert await leased(acme) == []
        acme.clock.advance(0.001)
        (probe,) = await leased(acme)
        assert (await health(acme)).breaker == "half_open"
        assert await leased(acme) == []
        assert (await finish(acme, probe, "trouble")).breaker == "opened"
        hold_s = min(2 * hold_s, BREAKER_MAX_HOLD_S)
        assert (await health(acme)).open_until_ms == acme.clock.ms() + hold_s * 1000


@pytest.mark.parametrize("sign", ["well", "answers"])
async def test_after_a_recovery_a_receiver_gets_more_step_by_step(acme: Stack, sign: Sign) -> None:
    """An answer, whatever it says, closes the breaker; then two at a time, and one more with each answer."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(60)))
    await open_breaker(acme)
    acme.clock.advance(BREAKER_HOLD_S)
    (probe,) = await leased(acme)
    assert (await finish(acme, probe, sign, "delivered")).breaker == "closed"
    in_hand = await leased(acme)
    assert len(in_hand) == 2
    for room in (3, 4, 5, 6, 7, 8, 8):
        assert (await finish(acme, in_hand.pop(), sign, "delivered")).breaker == ""
        in_hand += await leased(acme)
        assert len(in_hand) == room


async def test_what_says_nothing_of_the_receiver_changes_nothing(acme: Stack) -> None:
    """A delivery the policy denies is nobody's failure."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(BREAKER_TROUBLES + 1)))
    for one in (await leased(acme))[:BREAKER_TROUBLES]:
        await finish(acme, one, "nothing", "dead")
    found = await health(acme)
    assert (found.breaker, found.failed, found.failing_since_ms) == ("closed", 0, 0)
    assert (found.dead, found.pending) == (BREAKER_TROUBLES, 1)


async def test_a_success_ends_a_row_of_troubles(acme: Stack) -> None:
    """Only troubles in a row open it, and how long there were only failures begins anew."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(10)))
    for number in range(4 * BREAKER_TROUBLES):
        (one,) = await leased(acme, limit=1)
        finished = await finish(acme, one, "well" if number % BREAKER_TROUBLES == 0 else "trouble")
        assert finished.breaker == ""
        acme.clock.advance(1)
    found = await health(acme)
    assert (found.delivered, found.failed, found.failure) == (4, 16, "broke")
    assert found.failing_since_ms == START_MS + 16_000
    assert found.well_at_ms == START_MS + 15_000


async def test_how_long_there_was_only_failure_is_told(acme: Stack) -> None:
    """From the first failure after the last success, whatever kind of failure it is."""
    await acme.add_endpoint("ep_1")
    await owe(acme, "p1")
    for day in range(3):
        (one,) = await leased(acme)
        finished = await finish(acme, one, "answers")
        assert finished.failing_s == day * 86_400
        acme.clock.advance(86_400)


async def test_a_held_delivery_waits_without_an_attempt(acme: Stack) -> None:
    """Our own trouble: it comes back after a while, its receiver's room is free, and a lost lease holds nothing."""
    await acme.add_endpoint("ep_1")
    await owe(acme, "p1")
    ((delivery_id, token),) = await leased(acme)
    assert await acme.deliveries.hold(delivery_id, token, 60.0)
    assert not await acme.deliveries.hold(delivery_id, token, 60.0)
    acme.clock.advance(59.9)
    assert await leased(acme) == []
    acme.clock.advance(0.1)
    assert len(await leased(acme)) == 1


async def test_all_that_is_owed_is_counted(acme: Stack) -> None:
    """Waiting or in hand, over all receivers; and how many of them have an open breaker."""
    await acme.add_endpoint("ep_1")
    await owe(acme, *(f"p{n}" for n in range(10)))
    await acme.add_endpoint("ep_2")
    await owe(acme, "q1")
    await open_breaker(acme)
    await leased(acme)
    assert await acme.schedule.lanes_owed() == (12, 1)
