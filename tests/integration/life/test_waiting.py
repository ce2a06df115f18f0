"""Submissions that find no capacity upstream wait for it: what their callers see, and how they are sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.domain.predictions import State
from service.domain.tenant_spec import read_spec
from tests.integration.life.life import PRICE_MICROS, Life, open_life
from tests.integration.simulator.running import Running

ONE_AT_A_TIME = {"upstream_concurrency": 1}


@asynccontextmanager
async def waiting(redis_url: str, simulator: Running, **fields: Any) -> AsyncIterator[Life]:
    """A life before an account that allows one task at a time, unless it is told otherwise."""
    async with open_life(redis_url, simulator, **{**ONE_AT_A_TIME, **fields}) as life:
        yield life


@pytest.fixture
async def busy(redis_url: str, simulator: Running) -> AsyncIterator[Life]:
    """One whose only place is taken."""
    async with waiting(redis_url, simulator) as life:
        await life.submit("first")
        yield life


async def state(life: Life, prediction_id: str) -> State:
    """Where a prediction stands."""
    return (await life.load(prediction_id)).state


async def complete(life: Life) -> None:
    """Have everything end that runs."""
    life.finish(all=True)
    await life.pass_time(120.0, step_s=60.0)


def prompts_paid(life: Life) -> list[str]:
    """What reached the upstream, in order."""
    return [one["input"]["prompt"] for one in life.simulator.seen()["submissions"]]


class TestWhileItWaits:
    """What callers see."""

    async def test_both_faces_accept_it_at_once(self, busy: Life) -> None:
        """WaveSpeed's face reads `created`; the native one `queued`, with its place and about when it starts."""
        second = await busy.submit("second")
        answer = await busy.gateway.client.post(
            "/v1/predictions", json={"model": "openai/sora-2", "input": {"prompt": "third"}}
        )
        assert (answer.status_code, answer.json()["status"], answer.json()["position"]) == (202, "queued", 2)
        assert (await busy.gateway.result(second))["status"] == "created"
        shown = await busy.native(second)
        assert (shown["status"], shown["position"], shown["started_at"]) == ("queued", 1, None)
        assert shown["estimated_start_at"] < answer.json()["estimated_start_at"]
        assert busy.paid() == 1
        assert (await busy.ledger()).held == 3 * PRICE_MICROS
        listed = (await busy.gateway.client.get("/v1/predictions", params={"status": "queued"})).json()["data"]
        assert {one["id"] for one in listed} == {second, answer.json()["id"]}

    async def test_it_is_sent_when_there_is_room(self, busy: Life) -> None:
        """First come, first served; what is sent runs like any other and tells of its end."""
        second, third = await busy.submit("second"), await busy.submit("third")
        assert await busy.send() == 0
        await complete(busy)
        assert await busy.send() == 1
        assert (await state(busy, second), await state(busy, third)) == (State.CREATED, State.QUEUED)
        assert "position" not in await busy.native(second)
        assert (await busy.native(third))["position"] == 1
        await complete(busy)
        assert await busy.send() == 1
        await complete(busy)
        assert prompts_paid(busy) == ["first", "second", "third"]
        assert (await busy.ledger()).settled == 3 * PRICE_MICROS
        assert await busy.resources.commands("EXISTS", "bw:waiting:tags", "bw:due:submit", "bw:waiting:video") == 0

    async def test_with_room_and_nobody_waiting_it_is_sent_at_once(self, redis_url: str, simulator: Running) -> None:
        """The queue is only for want of room; but whoever comes while others wait is behind them."""
        async with waiting(redis_url, simulator, upstream_concurrency=2) as life:
            first, second = await life.submit("first"), await life.submit("second")
            assert (await state(life, first), await state(life, second)) == (State.CREATED, State.CREATED)
            third = await life.submit("third")
            await complete(life)
            fourth = await life.submit("fourth")
            assert (await state(life, third), await state(life, fourth)) == (State.QUEUED, State.QUEUED)
            assert await life.send() == 2
            assert prompts_paid(life)[2:] == ["third", "fourth"]

    async def test_what_travels_with_it_travels_later(self, busy: Life) -> None:
        """Who the client is and its trace reach WaveSpeed all the same, and a large input whole."""
        prompt = "x" * 20_000
        headers = {"x-client-name": "sdk", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        answer = await busy.gateway.client.post("/api/v3/openai/sora-2", json={"prompt": prompt}, headers=headers)
        await complete(busy)
        await busy.send()
        seen = busy.simulator.seen()["submissions"][-1]
        assert seen["input"]["prompt"] == prompt
        assert headers.items() <= seen["headers"].items()
        record = await busy.load(answer.json()["data"]["id"])
        assert (record.input, dict(record.headers), record.input_bytes > 20_000) == (b"", {}, True)


class TestEndsWhileItWaits:
    """Nothing was sent, so nothing is paid."""

    @pytest.mark.parametrize("how", ["cancel", "delete"])
    async def test_its_tenant_wants_it_no_more(self, busy: Life, how: str) -> None:
        """Slot, money and count come back at once, and it is never sent."""
        await busy.gateway.limit(daily=2, concurrency=2)
        second = await busy.submit("second")
        if how == "cancel":
            assert (await busy.cancel(second))["status"] == "canceled"
        else:
            assert (await busy.gateway.client.delete(f"/v1/predictions/{second}")).status_code == 204
        ledger = await busy.ledger()
        assert (ledger.held, ledger.released, ledger.admitted) == (PRICE_MICROS, PRICE_MICROS, 1)
        assert (await busy.load(second)).closed == "unsent"
        await busy.submit("third")  # there is room in every limit again
        await complete(busy)
        assert await busy.send() == 1
        assert prompts_paid(busy) == ["first", "third"]
        assert await busy.resources.reconcile() == 0

    async def test_it_waits_for_too_long(self, redis_url: str, simulator: Running) -> None:
        """It has expired, with an event, and costs nothing."""
        async with waiting(redis_url, simulator, max_queue_wait_s=300.0) as life:
            await life.register()
            await life.submit("first")
            second = await life.submit("second")
            life.clock.now_s += 299
            assert await life.send() == 0
            life.clock.now_s += 2
            assert await life.send() == 1
            shown = await life.native(second)
            assert (shown["status"], "had no capacity" in shown["error"]) == ("expired", True)
            assert (await life.gateway.result(second))["status"] == "failed"
            ledger = await life.ledger()
            assert (ledger.held, ledger.released, ledger.admitted) == (PRICE_MICROS, PRICE_MICROS, 2)
            assert "prediction.expired" in await life.owed()
            assert await life.resources.reconcile() == 0

    async def test_the_upstream_refuses_it(self, busy: Life) -> None:
        """It has failed with WaveSpeed's words, and costs nothing; the next is sent."""
        second, third = await busy.submit("[sim:submit=422] second"), await busy.submit("third")
        await complete(busy)
        assert await busy.send() == 1
        shown = await busy.native(second)
        assert (shown["status"], "simulated 422" in shown["error"]) == ("failed", True)
        assert await busy.send() == 1
        assert await state(busy, third) is State.CREATED
        assert (await busy.ledger()).released == PRICE_MICROS


class TestQueueBound:
    """A team's queue has an end."""

    @pytest.mark.parametrize("own", [True, False])
    async def test_a_full_queue_refuses(self, redis_url: str, simulator: Running, own: bool) -> None:
        """429 with the limit's name; its own limit or the gateway's; others are not concerned."""
        async with waiting(redis_url, simulator, **({} if own else {"max_queued": 1})) as life:
            if own:
                await life.gateway.limit(max_queued=1)
            await life.submit("first")
            await life.submit("second")
            answer = await life.gateway.client.post(
                "/v1/predictions", json={"model": "openai/sora-2", "input": {"prompt": "third"}}
            )
            assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
            assert answer.json()["violated-policies"] == ["queued"]
            assert int(answer.headers["retry-after"]) > 0
            assert (await life.ledger()).held == 2 * PRICE_MICROS
            if own:
                limits = (await life.gateway.client.get("/v1/quota")).json()["limits"]
                assert [(one["name"], one["used"], one["left"]) for one in limits] == [("queued", 1, 0)]
            await life.submit("another team's", await life.gateway.key_of("beta"))


class TestUpstreamRefuses:
    """Capacity, account, connection: nobody's submission is at fault, so it waits in its old place."""

    async def test_a_429_lowers_the_limit_and_waits(self, redis_url: str, simulator: Running) -> None:
        """The same submission is sent again when the back-off is over, before those behind it, and once."""
        async with waiting(redis_url, simulator, upstream_concurrency=10) as life:
            simulator.arm("submit", "status", status=429, times=1)
            first = await life.submit("first")
            second = await life.submit("second")
            assert (await state(life, first), await state(life, second)) == (State.QUEUED, State.QUEUED)
            account = await life.resources.queue.state()
            assert [(one.configured, one.now) for one in account.limits if one.name == "concurrency"] == [(10, 7)]
            assert await life.send() == 0
            life.clock.now_s += 6
            assert await life.send() == 1, "one goes ahead"
            assert await state(life, first) is State.CREATED
            assert await life.send() == 1
            assert prompts_paid(life) == ["first", "second"]
            life.clock.now_s += 180
            account = await life.resources.queue.state()
            assert [one.now for one in account.limits if one.name == "concurrency"] == [10]

    async def test_refused_again_and_again_it_is_tried_ever_more_rarely(self, busy: Life) -> None:
        """Back-off doubles up to a minute; a success ends it."""
        await busy.submit("second")
        await complete(busy)
        busy.simulator.arm("submit", "status", status=429, times=5)
        waits = []
        for _ in range(5):
            assert await busy.send() == 1
            account = await busy.resources.queue.state()
            waits.append(round(account.blocked_until_ms / 1000 - busy.clock.now_s))
            busy.clock.now_s += waits[-1]
        assert waits == [5, 10, 20, 40, 60]
        assert await busy.send() == 1
        assert (await busy.resources.queue.state()).blocked_until_ms == 0
        assert busy.paid() == 2

    @pytest.mark.parametrize("status", [401, 402, 403])
    async def test_an_account_that_is_refused_pauses_everything(self, busy: Life, status: int) -> None:
        """What waits keeps its place, new submissions are told, nothing is burnt; with money it goes on by itself."""
        second, third = await busy.submit("second"), await busy.submit("third")
        await complete(busy)
        busy.simulator.arm("submit", "status", status=status, times=1)
        assert await busy.send() == 1
        assert (await state(busy, second), await state(busy, third)) == (State.QUEUED, State.QUEUED)
        assert (await busy.native(second))["estimated_start_at"] is None
        answer = await busy.gateway.submit("fourth")
        assert (answer.status_code, "WaveSpeed refused" in answer.json()["message"]) == (503, True)
        assert await busy.send() == 0
        await busy.resources.watch_account.measure()
        assert busy.sample("breakwater_upstream_paused", by="account") == 1
        await busy.resources.watch_account()
        assert await busy.send() == 1
        assert prompts_paid(busy) == ["first", "second"]

    async def test_an_account_without_money_stays_paused(self, busy: Life) -> None:
        """Until somebody tops it up, or an operator says so."""
        await busy.submit("second")
        await complete(busy)
        busy.simulator.arm("submit", "status", status=402, times=1)
        await busy.send()
        busy.simulator.control("PUT", "balance", balance=0.0)
        await busy.resources.watch_account()
        assert (await busy.resources.queue.state()).paused_by == "account"
        await busy.resources.pause_account.resume()
        assert await busy.send() == 1

    async def test_a_silence_is_never_put_back(self, busy: Life) -> None:
        """A 5xx may have started it: it is looked for, and not sent again."""
        second = await busy.submit("[sim:submit=lost] second")
        await complete(busy)
        assert await busy.send() == 1
        assert await state(busy, second) is State.UNCONFIRMED
        assert await busy.send() == 0
        await busy.until_searchable()
        assert (await busy.load(second)).upstream_id
        assert prompts_paid(busy) == ["first", "second"] or busy.paid() == 2

    async def test_a_worker_that_dies_with_it_leaves_it_unconfirmed(self, busy: Life) -> None:
        """Taken out and never heard of again, it may have been sent: it is looked for and given up, not sent."""
        second = await busy.submit("second")
        await complete(busy)
        assert (await busy.resources.queue.lease(1)).ids == (second,)
        assert await state(busy, second) is State.SUBMITTING
        await busy.until_searchable()
        assert await state(busy, second) is State.UNCONFIRMED
        assert busy.paid() == 1

    async def test_canceled_on_its_way_out(self, busy: Life) -> None:
        """One that was taken out of the queue and canceled before it was sent is not sent."""
        second = await busy.submit("second")
        await complete(busy)
        leased = await busy.resources.queue.lease(1)
        await busy.cancel(second)
        await busy.resources.submit_queued(second, leased.token)
        assert busy.paid() == 1


class TestTeams:
    """Who is next."""

    async def test_weights_decide(self, redis_url: str, simulator: Running) -> None:
        """A team of weight 2 has two turns for each of a team of weight 1, and a newcomer is next but one at most."""
        async with waiting(redis_url, simulator) as life:
            beta = await life.gateway.key_of("beta")
            await life.resources.administer.put_tenant("beta", read_spec({"weight": 2}))
            await life.submit("running")
            for number in range(4):
                await life.submit(f"a{number}")
            for number in range(6):
                await life.submit(f"b{number}", beta)
            for _ in range(6):
                await complete(life)
                assert await life.send() == 1
            assert prompts_paid(life) == ["running", "a0", "b0", "b1", "a1", "b2", "b3"]
            await life.submit("newcomer", await life.gateway.key_of("gamma"))
            for _ in range(2):
                await complete(life)
                await life.send()
            assert "newcomer" in prompts_paid(life)[-2:]


async def test_low_balance_is_told(redis_url: str, simulator: Running) -> None:
    """Below the threshold submissions are answered with a warning, and a metric says so."""
    async with open_life(redis_url, simulator, upstream_balance_low_usd="999999") as life:
        answer = await life.gateway.submit()
        assert "breakwater-warning" not in answer.headers
        await life.resources.watch_account()
        await life.resources.watch_account.measure()
        answer = await life.gateway.submit()
        assert (answer.status_code, answer.headers["breakwater-warning"]) == (200, "upstream-balance-low")
        assert life.sample("breakwater_upstream_balance_low") == 1
        assert life.sample("breakwater_upstream_balance_dollars") == pytest.approx(1000 - 0.4, abs=1)
