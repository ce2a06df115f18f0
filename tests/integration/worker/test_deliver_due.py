"""One attempt at one delivery: counted, signed, sent and written down, whatever the receiver or the store says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_core import from_json

from service.domain.callback_address import CallbackPolicy
from service.domain.endpoints import Secret
from service.domain.webhook_signature import new_secret
from service.stores.encryption import Encryption
from service.usecases.change_endpoint import ChangeEndpoint
from tests.integration.stores.stack import OTHER_KEY, START_MS, Stack
from worker import deliver_due
from worker.deliver_due import HELD_S, Deliver

ENDPOINT_DELIVERY = "p1-1-ep_1"
CALLBACK_DELIVERY = "p1-1-callback"
DELAYS_S = (5.0, 300.0)


def result(outcome: str, status: int, **fields: Any) -> SimpleNamespace:
    """What an attempt came to, as the sender says it."""
    defaults = {"duration_s": 0.1234567, "answer": "", "retry_after_s": None, "error": ""}
    return SimpleNamespace(outcome=outcome, status=status, **defaults | fields)


@dataclass(slots=True)
class Sender:
    """Sends nothing: notes what it was asked to send and answers as the test says."""

    answer: Callable[[int], SimpleNamespace] = lambda _: result("delivered", 204)
    sent: list[SimpleNamespace] = field(default_factory=list)
    while_sending: Callable[[], Any] | None = None

    async def send(self, url: str, body: bytes, headers: dict[str, str], policy: object) -> SimpleNamespace:
        """One attempt."""
        self.sent.append(SimpleNamespace(url=url, body=body, headers=headers, policy=policy))
        if self.while_sending is not None:
            await self.while_sending()
        return self.answer(len(self.sent))


@pytest.fixture
def sender() -> Sender:
    """A receiver that accepts everything."""
    return Sender()


@pytest.fixture(autouse=True)
def short_schedule(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float | None]]:
    """Three attempts, without jitter; what the schedule was asked: attempt number and Retry-After."""
    asked: list[tuple[int, float | None]] = []

    def next_attempt_s(
        number: int, outcome: str, retry_after_s: float | None, roll: float, scale: float
    ) -> float | None:
        asked.append((number, retry_after_s))
        assert 0 <= roll < 1
        return DELAYS_S[number - 1] * scale if number <= len(DELAYS_S) else None

    monkeypatch.setattr(deliver_due, "next_attempt_s", next_attempt_s)
    return asked


def change_endpoint(stack: Stack) -> ChangeEndpoint:
    """What disables an endpoint."""
    callbacks = CallbackPolicy.parse("127.0.0.1/32")
    return ChangeEndpoint(stack.endpoints, stack.schedule, stack.encryption, callbacks, stack.metrics, stack.clock.s)


def deliverer(stack: Stack, sender: Sender, encryption: Encryption | None = None) -> Deliver:
    """What the deliver pool does with one item."""
    return Deliver(
        deliveries=stack.deliveries,
        schedule=stack.schedule,
        encryption=encryption or stack.encryption,
        callbacks=CallbackPolicy.parse("127.0.0.1/32"),
        sender=sender,  # type: ignore[arg-type] # stands for the network
        disable=change_endpoint(stack).disable,
        metrics=stack.metrics,
        retry_scale=1.0,
        clock=stack.clock.s,
    )


async def attempts_of(stack: Stack, delivery_id: str) -> list[dict[str, Any]]:
    """The attempts kept, newest first."""
    return [from_json(raw) for raw in await stack.commands("LRANGE", f"bw:delivery:{delivery_id}:attempts", 0, -1)]


async def state_of(stack: Stack, delivery_id: str) -> tuple[str, int]:
    """State and attempts of a delivery."""
    delivery = await stack.deliveries.load(delivery_id)
    assert delivery is not None
    return delivery.state, delivery.attempts


@pytest.fixture
async def owed(stack: Stack) -> Stack:
    """The stores with one delivery owed to the endpoint `ep_1`."""
    await stack.add_endpoint("ep_1")
    assert await stack.owe_delivery() == ENDPOINT_DELIVERY
    return stack


async def test_a_delivered_event_is_done(owed: Stack, sender: Sender) -> None:
    """The receiver's 2xx ends it: the stored body was sent, signed, under an id that names event and prediction."""
    owed.clock.advance(1.5)
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    (sent,) = sender.sent
    assert sent.url == "http://127.0.0.1:9/ep_1"
    assert sent.body == b'{"type":"prediction.completed"}'
    assert {name.lower() for name in sent.headers} >= {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert sent.headers["webhook-id"] == "evt_p1_1"
    assert sent.headers["webhook-timestamp"] == str(START_MS // 1000 + 1)
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("delivered", 1)
    assert await owed.due("deliver") == {}
    (attempt,) = await attempts_of(owed, ENDPOINT_DELIVERY)
    assert (attempt["number"], attempt["outcome"], attempt["status"]) == (1, "delivered", 204)
    assert attempt["duration_s"] == pytest.approx(0.123)
    assert owed.sample("breakwater_deliveries_ended_total", end="delivered") == 1
    assert owed.sample("breakwater_notify_lag_seconds_sum") == pytest.approx(1.5)


async def test_the_callback_of_a_request_gets_its_own_body_and_signature(stack: Stack, sender: Sender) -> None:
    """A per-request callback is sent as upstream does it: the body kept with the delivery, the bare id, `v3`."""
    await stack.owe_delivery(callback_url="http://127.0.0.1:9/hook?token=1")
    await deliverer(stack, sender)(CALLBACK_DELIVERY, await stack.lease_one(CALLBACK_DELIVERY))
    (sent,) = sender.sent
    assert (sent.url, sent.body) == ("http://127.0.0.1:9/hook?token=1", b'{"id":"cb"}')
    assert sent.headers["webhook-id"] == "p1"
    assert sent.headers["webhook-signature"].startswith("v3,")
    assert await state_of(stack, CALLBACK_DELIVERY) == ("delivered", 1)


async def test_an_endpoint_with_two_secrets_gets_a_signature_of_each(stack: Stack, sender: Sender) -> None:
    """While a rotation overlaps, receivers with either secret can verify."""
    new, old = (stack.encryption.encrypt(new_secret()).decode() for _ in range(2))
    secrets = (Secret(new), Secret(old, START_MS + 60_000))
    await stack.add_endpoint("ep_1", secrets=secrets)
    await stack.owe_delivery()
    await deliverer(stack, sender)(ENDPOINT_DELIVERY, await stack.lease_one(ENDPOINT_DELIVERY))
    signatures = sender.sent[0].headers["webhook-signature"].split(" ")
    assert len(set(signatures)) == 2
    assert all(signature.startswith("v1,") for signature in signatures)


async def test_a_failed_attempt_is_made_again_later_under_the_same_id(
    owed: Stack, sender: Sender, short_schedule: list[tuple[int, float | None]]
) -> None:
    """A failure comes back after the schedule's delay, and somebody is woken for it; Retry-After is passed on."""
    sender.answer = lambda n: result("failed", 503, retry_after_s=7.0) if n == 1 else result("delivered", 200)
    deliver = deliverer(owed, sender)
    await deliver(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    assert short_schedule == [(1, 7.0)]
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("pending", 1)
    assert await owed.due("deliver") == {ENDPOINT_DELIVERY: START_MS + 5_000}
    await owed.schedule.aclose()
    ((_, at_ms),) = await owed.redis.zrange("arq:queue", 0, -1, withscores=True)
    assert START_MS + 5_000 < at_ms <= START_MS + 5_250
    owed.clock.advance(5)
    await deliver(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    first, second = sender.sent
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("delivered", 2)
    assert [attempt["status"] for attempt in await attempts_of(owed, ENDPOINT_DELIVERY)] == [200, 503]


async def test_when_the_schedule_is_used_up_it_is_a_dead_letter(owed: Stack, sender: Sender) -> None:
    """A receiver that never accepts gets the whole schedule and not one attempt more."""
    sender.answer = lambda _: result("failed", 500, answer="no")
    deliver = deliverer(owed, sender)
    while due := await owed.due("deliver"):
        owed.clock.now_ms = max(owed.clock.now_ms, due[ENDPOINT_DELIVERY])
        await deliver(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    assert len(sender.sent) == len(DELAYS_S) + 1
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("dead", 3)
    assert await owed.redis.zrange("bw:dead", 0, -1) == [ENDPOINT_DELIVERY.encode()]
    assert owed.clock.now_ms == START_MS + 305_000
    assert owed.sample("breakwater_deliveries_ended_total", end="dead") == 1
    assert owed.sample("breakwater_notify_lag_seconds_count") == 0


async def test_workers_that_die_while_sending_use_the_attempts_up(owed: Stack, sender: Sender) -> None:
    """A delivery that kills whoever sends it is given up after as many attempts as any other."""

    async def die() -> None:
        raise asyncio.CancelledError

    sender.while_sending = die
    deliver = deliverer(owed, sender)
    for _ in range(30):
        leased = await owed.schedule.lease("deliver", 1, 25.0)
        if not leased.ids:
            break
        try:
            await deliver(ENDPOINT_DELIVERY, leased.token)
        except asyncio.CancelledError:
            owed.clock.advance(25)
    assert len(sender.sent) <= 20
    state, _ = await state_of(owed, ENDPOINT_DELIVERY)
    assert state == "dead"


async def test_a_deleted_endpoint_makes_a_dead_letter(owed: Stack, sender: Sender) -> None:
    """With its endpoint gone a delivery can never succeed: nothing is sent and no attempt counted."""
    await owed.commands("HDEL", "bw:tenant:acme:endpoints", "ep_1")
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    assert sender.sent == []
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("dead", 0)
    assert await owed.redis.zrange("bw:dead", 0, -1) == [ENDPOINT_DELIVERY.encode()]
    assert await owed.due("deliver") == {}
    (attempt,) = await attempts_of(owed, ENDPOINT_DELIVERY)
    assert "endpoint was deleted" in attempt["error"]
    assert owed.sample("breakwater_deliveries_ended_total", end="dead") == 1


async def test_a_test_whose_endpoint_is_gone_is_no_dead_letter(owed: Stack, sender: Sender) -> None:
    """Nobody lost anything by it: it is neither listed nor counted."""
    await owed.commands("HSET", f"bw:delivery:{ENDPOINT_DELIVERY}", "event", "endpoint.test")
    await owed.commands("HDEL", "bw:tenant:acme:endpoints", "ep_1")
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("dead", 0)
    assert await owed.redis.zrange("bw:dead", 0, -1) == []
    assert owed.sample("breakwater_deliveries_ended_total", end="dead") == 0


@pytest.mark.parametrize("gone", ["bw:prediction:p1:events", "bw:tenant:acme"])
async def test_what_is_no_longer_kept_makes_a_dead_letter(owed: Stack, sender: Sender, gone: str) -> None:
    """Without its event, or its tenant, a delivery can never succeed."""
    await owed.redis.delete(gone)
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, await owed.lease_one(ENDPOINT_DELIVERY))
    assert sender.sent == []
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("dead", 0)


async def test_a_delivery_that_is_gone_is_forgotten(owed: Stack, sender: Sender) -> None:
    """An id without a record behind it leaves the due set."""
    token = await owed.lease_one(ENDPOINT_DELIVERY)
    await owed.redis.delete(f"bw:delivery:{ENDPOINT_DELIVERY}")
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, token)
    assert sender.sent == []
    owed.clock.advance(25)
    assert (await owed.schedule.lease("deliver", 10, 25.0)).ids == ()
    assert await owed.due("deliver") == {}


@pytest.mark.parametrize("delivery_id", [ENDPOINT_DELIVERY, CALLBACK_DELIVERY])
async def test_a_secret_that_does_not_decrypt_holds_its_delivery(
    stack: Stack, sender: Sender, delivery_id: str
) -> None:
    """Our own trouble with a key costs the receiver no attempt: it is held, counted, and delivered once healed."""
    if delivery_id == ENDPOINT_DELIVERY:
        await stack.add_endpoint("ep_1")
    await stack.owe_delivery(callback_url="" if delivery_id == ENDPOINT_DELIVERY else "http://127.0.0.1:9/hook")
    wrong = Encryption([OTHER_KEY])
    stack.tenants._encryption = wrong
    await deliverer(stack, sender, wrong)(delivery_id, await stack.lease_one(delivery_id))
    assert sender.sent == []
    assert await state_of(stack, delivery_id) == ("pending", 0)
    assert await attempts_of(stack, delivery_id) == []
    assert await stack.due("deliver") == {delivery_id: START_MS + round(HELD_S * 1000)}
    assert stack.sample("breakwater_delivery_attempts_total", outcome="held") == 1
    stack.tenants._encryption = stack.encryption
    stack.clock.advance(HELD_S)
    await deliverer(stack, sender)(delivery_id, await stack.lease_one(delivery_id))
    assert await state_of(stack, delivery_id) == ("delivered", 1)


async def test_a_lost_lease_sends_nothing(owed: Stack, sender: Sender) -> None:
    """A worker that was paused past its lease does not send what another one has taken over."""
    lost = await owed.lease_one(ENDPOINT_DELIVERY)
    owed.clock.advance(25)
    await owed.lease_one(ENDPOINT_DELIVERY)
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, lost)
    assert sender.sent == []
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("pending", 0)


@pytest.mark.parametrize("outcome", ["delivered", "failed"])
async def test_a_lease_lost_while_sending(owed: Stack, sender: Sender, outcome: str) -> None:
    """When the lease is lost during an attempt, a success counts and a failure is left to the other worker."""
    deliver = deliverer(owed, sender)
    token = await owed.lease_one(ENDPOINT_DELIVERY)

    async def lose_the_lease() -> None:
        owed.clock.advance(25)
        await owed.lease_one(ENDPOINT_DELIVERY)

    sender.while_sending = lose_the_lease
    sender.answer = lambda _: result(outcome, 204 if outcome == "delivered" else 500)
    await deliver(ENDPOINT_DELIVERY, token)
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("delivered" if outcome == "delivered" else "pending", 1)
    assert owed.sample("breakwater_leases_lost_total", due_set="deliver") == 1
    assert (await owed.due("deliver") == {}) == (outcome == "delivered")


async def test_a_last_failure_from_a_lost_lease_is_not_counted_as_given_up(owed: Stack, sender: Sender) -> None:
    """Only an end that was written is counted: another worker still has the delivery."""
    await owed.commands("HSET", f"bw:delivery:{ENDPOINT_DELIVERY}", "attempts", len(DELAYS_S))
    token = await owed.lease_one(ENDPOINT_DELIVERY)

    async def lose_the_lease() -> None:
        owed.clock.advance(25)
        await owed.lease_one(ENDPOINT_DELIVERY)

    sender.while_sending = lose_the_lease
    sender.answer = lambda _: result("failed", 500)
    await deliverer(owed, sender)(ENDPOINT_DELIVERY, token)
    assert await state_of(owed, ENDPOINT_DELIVERY) == ("pending", 3)
    assert owed.sample("breakwater_deliveries_ended_total", end="dead") == 0
