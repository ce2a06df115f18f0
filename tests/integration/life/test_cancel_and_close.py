"""Canceling and expiring: an end for the tenant at once, and for the books when it is known what it costs."""

import pytest
from redis.asyncio import Redis

from service.domain.predictions import State
from tests.integration.life.life import PRICE_MICROS, Life, open_life
from tests.integration.simulator.running import Running
from tests.owed import owed_deliveries
from tests.waiting import wait_until

DAY_S = 86_400.0


async def slots(life: Life) -> int:
    """How many of the tenant's slots are taken."""
    return int(await life.resources.commands("ZCARD", "bw:tenant:acme:slots"))


async def test_canceling_ends_it_at_once_for_the_tenant(life: Life) -> None:
    """Slot freed, event and callback owed, money held; both faces tell it in their own words."""
    await life.register()
    prediction_id = await life.submit()
    shown = await life.cancel(prediction_id)
    assert (shown["status"], shown["error"]) == ("canceled", "canceled by its tenant")
    assert shown["ended_at"] is not None
    result = await life.gateway.result(prediction_id)
    assert (result["status"], result["error"]) == ("failed", "canceled by its tenant")
    assert await life.owed() == {"prediction.canceled"}
    assert (await slots(life), (await life.ledger()).held) == (0, PRICE_MICROS)


async def test_a_request_s_own_callback_hears_of_it_once(life: Life) -> None:
    """In WaveSpeed's form a canceled prediction is a failed one; its closing is not called back again."""
    answer = await life.gateway.client.post(
        "/api/v3/openai/sora-2?webhook=http://127.0.0.1:9/hook", json={"prompt": "a wave"}
    )
    await life.cancel(answer.json()["data"]["id"])
    (first,) = await owed_deliveries(life.resources.commands)
    delivery = await life.resources.deliveries.load(first)
    assert delivery is not None
    assert b'"status":"failed"' in delivery.body
    await life.pass_time(600)
    assert len(await owed_deliveries(life.resources.commands)) == 1


async def test_canceling_twice_is_the_same_as_once(life: Life) -> None:
    """The second time nothing changes, and it is no error."""
    prediction_id = await life.submit()
    first = await life.cancel(prediction_id)
    life.clock.now_s += 5
    assert await life.cancel(prediction_id) == first


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_what_has_ended_cannot_be_canceled(life: Life, status: str) -> None:
    """409, and the end stays what it was."""
    prediction_id = await life.submit()
    life.finish(all=True, status=status)
    await life.pass_time(120)
    problem = await life.cancel(prediction_id, 409)
    assert status in problem["detail"]
    assert (await life.native(prediction_id))["status"] == status


async def test_only_its_own_tenant_can_cancel_it(life: Life) -> None:
    """Another team's id is unknown, as is one that looks like none."""
    prediction_id = await life.submit()
    other = await life.gateway.key_of("beta")
    for unknown in (prediction_id, "0" * 32, "nonsense"):
        answer = await life.gateway.client.post(
            f"/v1/predictions/{unknown}/cancel", headers={"authorization": f"Bearer {other}"}
        )
        assert answer.status_code == 404
    assert (await life.load(prediction_id)).state is State.CREATED


async def test_a_video_that_is_made_after_all_is_paid_for_and_given_out(life: Life) -> None:
    """Settled when the upstream completes it; the outputs stand in the record, the end stays `canceled`."""
    await life.register()
    prediction_id = await life.submit()
    await life.cancel(prediction_id)
    await life.pass_time(120)
    shown = await life.native(prediction_id)
    assert shown["status"] == "canceled"
    assert len(shown["outputs"]) == 1
    assert shown["output_expires_at"] is not None
    ledger = await life.ledger()
    assert (ledger.held, ledger.settled) == (0, PRICE_MICROS)
    assert await life.owed() == {"prediction.canceled"}, "closing is no second end"
    assert life.sample("breakwater_predictions_closed_total", how="completed") == 1
    assert await life.pass_time(600) == [], "nothing more is looked at"


async def test_one_that_fails_upstream_costs_nothing(life: Life) -> None:
    """Released when the upstream fails it."""
    await life.cancel(await life.submit("[sim:fail] a wave"))
    await life.pass_time(120)
    ledger = await life.ledger()
    assert (ledger.held, ledger.released) == (0, PRICE_MICROS)


async def test_one_that_is_gone_upstream_costs_nothing(life: Life) -> None:
    """A task the upstream says was deleted will not be made."""
    prediction_id = await life.submit("[sim:stuck] a wave")
    await life.cancel(prediction_id)
    life.finish(all=True, status="failed")
    await life.pass_time(120)
    assert (await life.load(prediction_id)).closed == "failed"


async def test_one_the_upstream_does_not_know_any_more_costs_nothing(life: Life) -> None:
    """404 once is a hiccup; five looks in a row that find nothing mean it is gone. While it runs, 404 is no verdict."""
    running, canceled = await life.submit("[sim:stuck] one"), await life.submit("[sim:stuck] two")
    await life.cancel(canceled)
    life.simulator.arm("result", "status", status=404, times=3)
    await life.pass_time(200)
    assert (await life.load(canceled)).closed == ""
    async with life.simulator.client() as client:
        for prediction_id in (running, canceled):
            await client.delete(f"/api/v3/predictions/{(await life.load(prediction_id)).upstream_id}")
    await life.pass_time(900)
    after = await life.load(canceled)
    assert (after.state, after.closed, after.money) == (State.CANCELED, "gone", "released")
    assert not (await life.load(running)).state.ended


async def test_silence_is_settled_and_listed_as_orphaned(life: Life) -> None:
    """After a day without a verdict it counts as paid, and operators find it; looks grow rarer all along."""
    prediction_id = await life.submit("[sim:stuck] a wave")
    await life.cancel(prediction_id)
    looks = await life.pass_time(DAY_S, step_s=60)
    assert looks.count("running") < 80
    await life.pass_time(2 * 3_600, step_s=60)
    after = await life.load(prediction_id)
    assert (after.closed, after.money) == ("orphaned", "settled")
    assert [one.id for one in await life.resources.predictions.newest_orphaned(10)] == [prediction_id]
    assert (await life.ledger()).settled == PRICE_MICROS
    assert life.sample("breakwater_predictions_closed_total", how="orphaned") == 1


async def test_an_outage_does_not_keep_it_open_for_ever(life: Life) -> None:
    """Errors are no verdict, but after a day neither is waiting."""
    prediction_id = await life.submit("[sim:stuck] a wave")
    await life.cancel(prediction_id)
    life.simulator.arm("result", "status", status=500, times=10_000)
    await life.pass_time(DAY_S + 2 * 3_600, step_s=120)
    assert (await life.load(prediction_id)).closed == "orphaned"


async def test_canceled_while_unconfirmed_it_is_looked_for_and_closed(life: Life) -> None:
    """The task is found as usual, and then closes it: paid, since it was made."""
    life.simulator.arm("submit", "lost")
    prediction_id = await life.submit()
    await life.cancel(prediction_id)
    await life.until_searchable()
    await life.pass_time(120)
    after = await life.load(prediction_id)
    assert (after.state, after.evidence, after.closed) == (State.CANCELED, "list", "completed")
    assert life.paid() == 1


async def test_canceled_and_never_found_it_costs_nothing(life: Life) -> None:
    """Given up like any submission nobody confirms."""
    life.simulator.arm("submit", "status", status=503)
    prediction_id = await life.submit()
    await life.cancel(prediction_id)
    await life.pass_time(1_900)
    after = await life.load(prediction_id)
    assert (after.state, after.closed, after.money) == (State.CANCELED, "never_started", "released")


async def test_canceled_while_its_post_is_under_way(impatient: Life) -> None:
    """The answer that comes later is not lost: it says where to look, and the run is paid for."""
    prediction_id = await impatient.submit("[sim:delay=1] a wave")
    assert (await impatient.load(prediction_id)).state is State.SUBMITTING
    await impatient.cancel(prediction_id)
    await impatient.resources.submit.drain(10)
    after = await impatient.load(prediction_id)
    assert (after.state, after.evidence) == (State.CANCELED, "answer")
    await impatient.pass_time(120)
    assert (await impatient.load(prediction_id)).closed == "completed"


async def test_canceled_while_its_post_is_refused(impatient: Life) -> None:
    """A refusal that comes after the cancellation closes it at once, for nothing."""
    impatient.simulator.arm("submit", "late_status", status=422, seconds=1)
    prediction_id = await impatient.submit()
    await impatient.cancel(prediction_id)
    await impatient.resources.submit.drain(10)
    after = await impatient.load(prediction_id)
    assert (after.state, after.closed, after.money) == (State.CANCELED, "never_started", "released")
    assert impatient.paid() == 0


async def test_the_deadline_expires_it_and_it_is_closed_later(life: Life) -> None:
    """Running past its model's deadline it ends `expired`; the video that comes later is paid for and given out."""
    await life.register()
    prediction_id = await life.submit("[sim:stuck] a wave")
    await life.pass_time(1_900)
    assert (await life.native(prediction_id))["status"] == "expired"
    assert await life.owed() == {"prediction.processing", "prediction.expired"}
    assert ((await life.ledger()).held, await slots(life)) == (PRICE_MICROS, 0)
    life.finish(all=True)
    await life.pass_time(600)
    after = await life.load(prediction_id)
    assert (after.state, after.closed, after.money) == (State.EXPIRED, "completed", "settled")
    assert len(after.answer["outputs"]) == 1


async def test_the_books_agree_with_every_closed_one(life: Life, redis: Redis) -> None:
    """Reconciliation finds nothing to mend, however predictions were closed."""
    for prompt in ("a wave", "[sim:fail] a wave", "[sim:stuck] a wave"):
        await life.cancel(await life.submit(prompt))
    assert await life.resources.reconcile() == 0
    await life.pass_time(DAY_S + 2 * 3_600, step_s=120)
    assert await life.resources.reconcile() == 0
    ledger = await life.ledger()
    assert (ledger.held, ledger.settled, ledger.released) == (0, 2 * PRICE_MICROS, PRICE_MICROS)
    assert await redis.zcard("bw:open") == 0
    assert await redis.zcard("bw:due:poll") == 0


async def test_a_canceled_submission_counts_as_a_start_until_it_is_answered(redis_url: str, simulator: Running) -> None:
    """Canceling does not stop a POST on its way: the account's minute ends a minute after its answer, not before."""
    async with open_life(redis_url, simulator, answer_within_s=0.05, upstream_per_minute="10") as life:
        prediction_id = await life.submit("[sim:delay=1.5] a wave")
        await life.cancel(prediction_id)
        under_way_until = await life.resources.commands("ZSCORE", "bw:starts:video", prediction_id)
        assert float(under_way_until) > life.clock() * 1000
        await wait_until(lambda: not life.resources.submit.running, what="the submission is answered")
        over_at = await life.resources.commands("ZSCORE", "bw:starts:video", prediction_id)
        assert float(over_at) == life.clock() * 1000
