"""Predictions: admitted all or nothing, moved by one writer at a time, with everything a move brings along."""

import asyncio

import pytest

from service.domain.errors import NotFound, TenantSuspended
from service.domain.moves import confirmed, ended_by_gateway, observed, outcome_unknown
from service.domain.predictions import Change, Observation, Prediction, State
from service.domain.tenants import TenantState
from service.stores import keys
from tests.integration.stores.stack import START_MS, Stack, completed, intent

EIGHT_DAYS_MS = 8 * 86_400_000
TWO_WEEKS_MS = 14 * 86_400_000
MONTH_MS = 30 * 86_400_000
MONTH = "2027-01"
"""The month the tests' clock starts in."""


async def test_an_admission_is_record_list_and_first_look(acme: Stack) -> None:
    """One admission writes the record, its place in the tenant's list and the time somebody must look at it."""
    prediction = await acme.admit()
    assert await acme.predictions.load("p1") == prediction
    assert await acme.due("poll") == {"p1": START_MS + 70_000}
    assert await acme.redis.zrange("bw:tenant:acme:predictions", 0, -1, withscores=True) == [(b"p1", START_MS)]
    assert await acme.commands("HGET", "bw:prediction:p1", "v") == b"1"


async def test_admitting_again_changes_nothing(acme: Stack) -> None:
    """An admission sent twice, even after the prediction moved on, leaves everything as it is."""
    running = await acme.confirm(await acme.admit())
    before = await acme.dump()
    acme.clock.advance(5)
    await acme.ledger.admit(intent()._replace(input=b"{}"), 70.0, 3600.0)
    assert await acme.dump() == before
    assert await acme.predictions.load("p1") == running


async def test_a_submission_of_no_tenant_writes_nothing(stack: Stack) -> None:
    """A key whose tenant was deleted admits nothing and leaves no trace."""
    await stack.add_tenant("other")
    before = await stack.dump()
    with pytest.raises(NotFound):
        await stack.admit()
    assert await stack.dump() == before


async def test_a_suspended_tenant_writes_nothing(stack: Stack) -> None:
    """A suspended tenant admits nothing and leaves no trace."""
    await stack.add_tenant(state=TenantState.SUSPENDED)
    before = await stack.dump()
    with pytest.raises(TenantSuspended):
        await stack.admit()
    assert await stack.dump() == before


async def test_the_list_of_predictions_forgets_what_its_lifetime_has_passed(acme: Stack) -> None:
    """The tenant's list is bounded in time: an admission drops the entries older than any record."""
    await acme.admit("old")
    acme.clock.advance(MONTH_MS / 1000 + 1)
    await acme.admit("new")
    assert await acme.redis.zrange("bw:tenant:acme:predictions", 0, -1) == [b"new"]
    assert 0 < await acme.ttl_ms("bw:tenant:acme:predictions") <= MONTH_MS


async def test_withdrawing_leaves_no_trace_but_in_the_ledger(acme: Stack) -> None:
    """What provably started nothing can be taken back as if it had never been; the books show that it was refused."""
    before = await acme.dump()
    assert await acme.ledger.withdraw(await acme.admit())
    kept = {
        key: value for key, value in (await acme.dump()).items() if b":ledger:" not in key and b":usage:" not in key
    }
    assert kept == before
    ledger = await acme.ledger.ledger("acme", MONTH)
    assert (ledger.held, ledger.settled, ledger.released, ledger.admitted) == (0, 0, 400_000, 0)
    assert ledger.conserved


@pytest.mark.parametrize("state", [State.UNCONFIRMED, State.CREATED, State.FAILED])
async def test_only_a_submitting_prediction_is_withdrawn(acme: Stack, state: State) -> None:
    """Once it has moved on, a prediction may be running and paid for: it is not forgotten."""
    before = await acme.admit()
    change: Change | None = {
        State.UNCONFIRMED: outcome_unknown(before),
        State.CREATED: confirmed(before, "up-1", START_MS),
        State.FAILED: ended_by_gateway(before, State.FAILED, "given up", START_MS),
    }[state]
    await acme.write(before, change, next_look_s=30.0)
    dump = await acme.dump()
    assert not await acme.ledger.withdraw(before)
    assert await acme.dump() == dump


async def test_withdrawing_twice_is_harmless(acme: Stack) -> None:
    """A withdrawal that is repeated finds nothing to do."""
    before = await acme.admit()
    assert await acme.ledger.withdraw(before)
    assert not await acme.ledger.withdraw(before)


async def test_of_concurrent_movers_exactly_one_wins(acme: Stack) -> None:
    """However many writers start from the same record, one writes and the others hear that they are stale."""
    before = await acme.confirm(await acme.admit())
    ends = [completed(before, START_MS), ended_by_gateway(before, State.EXPIRED, "expired", START_MS)] * 4
    outcomes = await asyncio.gather(
        *(acme.predictions.move(before, end, next_look_s=None, event_body=b"{}") for end in ends if end is not None)
    )
    assert sorted(moved.outcome for moved in outcomes) == ["moved", *["stale"] * 7]
    stored = await acme.predictions.load("p1")
    assert stored is not None
    assert (stored.rev, stored.sequence) == (before.rev + 1, 1)
    assert await acme.commands("HLEN", "bw:prediction:p1:events") == 1


async def test_a_stale_move_writes_nothing(acme: Stack) -> None:
    """A writer that comes second changes no byte: no event, no delivery, no due time."""
    await acme.add_endpoint("ep_1")
    before = await acme.confirm(await acme.admit())
    await acme.complete(before)
    dump = await acme.dump()
    change = ended_by_gateway(before, State.EXPIRED, "expired", START_MS)
    assert change is not None
    moved = await acme.predictions.move(before, change, next_look_s=None, event_body=b"{}", callback_body=b"{}")
    assert moved.outcome == "stale"
    assert await acme.dump() == dump


async def test_a_prediction_that_is_gone_is_not_revived(acme: Stack) -> None:
    """A move of a record that no longer exists writes nothing, not even a claim."""
    before = await acme.admit()
    await acme.ledger.withdraw(before)
    dump = await acme.dump()
    change = confirmed(before, "up-1", START_MS)
    assert change is not None
    assert (await acme.predictions.move(before, change, next_look_s=30.0)).outcome == "gone"
    assert await acme.dump() == dump


async def test_an_upstream_task_belongs_to_one_prediction(acme: Stack) -> None:
    """A second prediction cannot claim an upstream id: it hears so and stays as it was."""
    await acme.confirm(await acme.admit("p1"), "up-1")
    second = await acme.admit("p2")
    dump = await acme.dump()
    change = confirmed(second, "up-1", START_MS)
    assert change is not None
    assert (await acme.predictions.move(second, change, next_look_s=30.0)).outcome == "claimed"
    assert await acme.dump() == dump
    assert await acme.redis.get("bw:upstream:up-1") == b"p1"


async def test_of_two_concurrent_claims_one_wins(acme: Stack) -> None:
    """Two predictions that claim one upstream task at once do not both get it."""
    admitted = [await acme.admit("p1"), await acme.admit("p2")]
    changes = [(before, confirmed(before, "up-1", START_MS)) for before in admitted]
    outcomes = await asyncio.gather(
        *(acme.predictions.move(before, change, next_look_s=30.0) for before, change in changes if change is not None)
    )
    assert sorted(moved.outcome for moved in outcomes) == ["claimed", "moved"]


async def test_an_end_makes_event_and_deliveries_for_those_who_want_it(acme: Stack) -> None:
    """An end is owed to every enabled endpoint that wants its type, to those that want all, and to nobody else."""
    await acme.add_endpoint("ep_all")
    await acme.add_endpoint("ep_this", "prediction.failed", "prediction.completed")
    await acme.add_endpoint("ep_other", "prediction.failed")
    await acme.add_endpoint("ep_off", "prediction.completed", state="disabled")
    await acme.add_endpoint("ep_off_all", state="disabled")
    await acme.add_tenant("rival")
    await acme.add_endpoint("ep_rival", tenant="rival")
    before = await acme.confirm(await acme.admit())
    assert await acme.due("deliver") == {}, "a silent move owes nothing"
    moved = await acme.predictions.move(
        before, completed(before, START_MS), next_look_s=None, event_body=b'{"type":"prediction.completed"}'
    )
    assert moved.deliveries == 2
    assert await acme.due("deliver") == {"p1-1-ep_all": START_MS, "p1-1-ep_this": START_MS}
    assert await acme.predictions.event_body("p1", 1) == b'{"type":"prediction.completed"}'
    delivery = await acme.deliveries.load("p1-1-ep_this")
    assert delivery is not None
    assert (delivery.tenant, delivery.prediction, delivery.sequence) == ("acme", "p1", 1)
    assert (delivery.event, delivery.endpoint) == ("prediction.completed", "ep_this")
    assert (delivery.state, delivery.attempts, delivery.created_at_ms) == ("pending", 0, START_MS)
    assert (delivery.url, delivery.body) == ("", b"")


async def test_the_callback_of_the_request_is_owed_only_with_a_body(acme: Stack) -> None:
    """A request's own callback gets the end, with the very body of that moment, and nothing before."""
    url = "http://127.0.0.1:9/hook?token=1"
    before = await acme.confirm(await acme.admit(callback_url=url))
    change = observed(before, Observation("running", "processing", {}), START_MS)
    running = await acme.write(before, change, next_look_s=5.0)
    assert await acme.due("deliver") == {}
    body = '{"error":"größer, 大きい"}'.encode()
    await acme.complete(running, callback_body=body)
    assert await acme.due("deliver") == {"p1-2-callback": START_MS}
    delivery = await acme.deliveries.load("p1-2-callback")
    assert delivery is not None
    assert (delivery.url, delivery.body, delivery.endpoint, delivery.sequence) == (url, body, "", 2)


async def test_a_move_gives_the_next_look_and_an_end_takes_it_away(acme: Stack) -> None:
    """A running prediction is looked at when the move says so; an ended one is not looked at any more."""
    before = await acme.admit()
    acme.clock.advance(3)
    running = await acme.confirm(before, next_look_s=12.5)
    assert await acme.due("poll") == {"p1": START_MS + 3_000 + 12_500}
    await acme.complete(running)
    assert await acme.due("poll") == {}


async def test_a_record_lives_thirty_days_while_it_runs_and_eight_after_its_end(acme: Stack) -> None:
    """Nothing owed can vanish before any deadline; what ended goes a day after its week, should nobody purge it."""
    await acme.add_endpoint("ep_1")
    before = await acme.confirm(await acme.admit(), "up-1")
    for key in ("bw:prediction:p1", "bw:upstream:up-1"):
        assert MONTH_MS - 60_000 < await acme.ttl_ms(key) <= MONTH_MS
    await acme.complete(before)
    for key in ("bw:prediction:p1", "bw:prediction:p1:events"):
        assert EIGHT_DAYS_MS - 60_000 < await acme.ttl_ms(key) <= EIGHT_DAYS_MS
    assert TWO_WEEKS_MS - 60_000 < await acme.ttl_ms("bw:delivery:p1-1-ep_1") <= TWO_WEEKS_MS


async def test_fields_of_another_version_survive_a_move(acme: Stack) -> None:
    """A record written by a newer version keeps the fields this one does not know."""
    before = await acme.admit()
    await acme.commands("HSET", "bw:prediction:p1", "v", "2", "shard", "blue")
    await acme.complete(await acme.confirm(before))
    assert await acme.commands("HMGET", "bw:prediction:p1", "v", "shard") == [b"2", b"blue"]
    assert await acme.predictions.load("p1") is not None


async def test_a_record_of_an_older_version_is_read_with_defaults(acme: Stack) -> None:
    """A field that an older version did not write takes its default."""
    await acme.admit()
    await acme.commands("HDEL", "bw:prediction:p1", "traceparent", "poll_failures", "sequence")
    stored = await acme.predictions.load("p1")
    assert stored is not None
    assert (stored.traceparent, stored.poll_failures, stored.sequence) == ("", 0, 0)


@pytest.mark.parametrize("text", ["plain", "Grüße, 海 🌊", 'quote " \\ \n \u2028 \x00', ""])
async def test_inputs_and_answers_come_back_as_they_were(acme: Stack, text: str) -> None:
    """What a caller sent and what the upstream said is read back character by character."""
    fields = intent(
        input=text.encode(),
        input_bytes=len(text.encode()),
        input_sha256="ab",
        callback_url="https://example.com/?q=ü",
        price_micros=400_000,
        request_id="r-1",
        traceparent="00-1-2-03",
        answer={"id": "p1", "error": text, "nested": {text: [1, 2.5, None, True]}, "outputs": []},
    )
    fields = (await acme.ledger.admit(fields, 70.0, 3600.0)).prediction
    assert await acme.predictions.load("p1") == fields
    after: Prediction = await acme.complete(await acme.confirm(fields))
    assert await acme.predictions.load("p1") == after


async def test_an_answer_is_for_its_tenant_alone(acme: Stack) -> None:
    """A foreign tenant's prediction looks exactly like one that does not exist."""
    ours, unknown_to_all = "0" * 31 + "1", "0" * 31 + "2"
    await acme.admit(ours)
    assert f'"id":"{ours}"'.encode() in (await acme.predictions.read_answer(ours, "acme")).body
    with pytest.raises(NotFound) as foreign:
        await acme.predictions.read_answer(ours, "rival")
    with pytest.raises(NotFound) as unknown:
        await acme.predictions.read_answer(unknown_to_all, "acme")
    assert str(foreign.value) == str(unknown.value)


async def test_no_event_and_no_record_read_as_none(acme: Stack) -> None:
    """What was never written, or is gone, is None."""
    assert await acme.predictions.load("p1") is None
    assert await acme.predictions.event_body("p1", 1) is None
    assert await acme.redis.exists(keys.prediction("p1")) == 0
