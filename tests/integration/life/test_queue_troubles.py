"""What waits, and what was just taken out of the queue, when answers get lost and things happen in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.domain.errors import ReadFailed, StoreUnavailable
from service.domain.predictions import Prediction, State
from service.stores import insisting
from service.stores.quota_ledger import Admission
from service.stores.submission_queue import SubmissionQueue
from service.usecases.watch_account import TRY_ANYWAY_S
from tests.integration.http.gateway import posts_seen
from tests.integration.life.life import PRICE_MICROS, Life
from tests.integration.life.test_waiting import complete, prompts_paid, state, waiting
from tests.integration.simulator.running import Running
from tests.waiting import wait_until

MODEL = "/api/v3/openai/sora-2"

Meanwhile = Callable[[str], Awaitable[None]]


def lose_the_next_admission(life: Life, patch: pytest.MonkeyPatch, meanwhile: Meanwhile) -> None:
    """Redis makes the next admission, and the answer is lost; something happens before the gateway knows."""
    real = life.resources.ledger.admit

    async def lossy(_: Any, intent: Prediction, *given: Any, **named: Any) -> Admission:
        patch.undo()
        await real(intent, *given, **named)
        await meanwhile(intent.id)
        raise StoreUnavailable("the answer was lost")

    patch.setattr(type(life.resources.ledger), "admit", lossy)


async def places_taken(life: Life) -> int:
    """How many places of the account are taken."""
    return next(one.used for one in (await life.resources.queue.state()).limits if one.name == "concurrency")


class TestLostAnswers:
    """Redis did it, and nobody heard."""

    async def test_what_a_worker_is_sending_is_not_taken_back(
        self, redis_url: str, simulator: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The caller is told that nothing is known; the record of what is paid stays."""
        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            taken: list[str] = []

            async def taken_out(prediction_id: str) -> None:
                await complete(life)
                taken.extend((await life.resources.queue.lease(1)).ids)
                assert taken == [prediction_id]

            lose_the_next_admission(life, monkeypatch, taken_out)
            assert (await life.gateway.submit("second")).status_code == 503
            assert await state(life, taken[0]) is State.SUBMITTING
            await life.resources.submit_queued(taken[0], "")
            await complete(life)
            assert await state(life, taken[0]) is State.COMPLETED
            assert (await life.ledger()).settled == 2 * PRICE_MICROS

    async def test_what_waits_unheard_of_is_taken_back(
        self, redis_url: str, simulator: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing of it is left, and its place in the queue is another's."""

        async def nothing(_: str) -> None:
            return

        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            lose_the_next_admission(life, monkeypatch, nothing)
            assert (await life.gateway.submit("second")).status_code == 503
            assert (await life.resources.queue.state()).waiting == 0
            assert (await life.ledger()).held == PRICE_MICROS
            assert await life.resources.reconcile() == 0

    async def test_what_a_copy_was_told_of_stays(
        self, redis_url: str, simulator: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The copy under the same idempotency key has the id: the first one does not take it away."""
        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            told: list[str] = []

            async def submit() -> Any:
                headers = {"idempotency-key": "k1"}
                return await life.gateway.client.post(MODEL, json={"prompt": "second"}, headers=headers)

            async def copied(_: str) -> None:
                told.append((await submit()).json()["data"]["id"])

            lose_the_next_admission(life, monkeypatch, copied)
            assert (await submit()).status_code == 503
            assert (await life.gateway.result(told[0]))["status"] == "created"
            await complete(life)
            assert await life.send() == 1
            assert (await submit()).json()["data"]["id"] == told[0]
            assert prompts_paid(life) == ["first", "second"]

    async def test_what_was_taken_out_is_asked_for_again(
        self, redis_url: str, simulator: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An answer that got lost is given again, and nothing more is taken out for it."""
        async with waiting(redis_url, simulator, upstream_concurrency=2) as life:
            for prompt in ("first", "second", "third", "fourth", "fifth"):
                await life.submit(prompt)
            await complete(life)
            real, calls = SubmissionQueue._lease, 0

            async def lossy(queue: SubmissionQueue, limit: int, call: str) -> Any:
                nonlocal calls
                calls += 1
                answer = await real(queue, limit, call)
                if calls == 1:
                    raise StoreUnavailable("the answer was lost")
                return answer

            monkeypatch.setattr(SubmissionQueue, "_lease", lossy)
            monkeypatch.setattr(insisting, "HICCUP_S", (0.0,))
            assert await life.send() == 2
            assert prompts_paid(life) == ["first", "second", "third", "fourth"]
            assert calls == 2

    async def test_what_was_taken_out_long_ago_is_put_back_unsent(self, redis_url: str, simulator: Running) -> None:
        """By the time a submission must be over it might still be under way: it waits for its next turn."""
        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            second = await life.submit("second")
            await complete(life)
            leased = await life.resources.queue.lease(1)
            life.clock.now_s += 10
            await life.resources.submit_queued(second, leased.token)
            assert (await state(life, second), life.paid()) == (State.QUEUED, 1)
            assert await life.send() == 1
            assert prompts_paid(life) == ["first", "second"]

    async def test_an_accepted_submission_is_answered_whatever_its_place(
        self, redis_url: str, simulator: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its caller has an id, and no reason to submit it once more."""

        async def away(*_: Any) -> int:
            raise StoreUnavailable("away")

        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            monkeypatch.setattr(SubmissionQueue, "before", away)
            answer = await life.gateway.client.post(
                "/v1/predictions", json={"model": "openai/sora-2", "input": {"prompt": "second"}}
            )
            assert (answer.status_code, answer.json()["status"]) == (202, "queued")
            assert "position" not in answer.json()


class TestInBetween:
    """Between a submission's turn and what comes of it."""

    @pytest.mark.parametrize("how", ["cancel", "delete"])
    @pytest.mark.parametrize("sent", [False, True])
    async def test_its_tenant_wants_it_no_more(self, redis_url: str, simulator: Running, how: str, sent: bool) -> None:
        """Not sent, or provably not started: its place and its money are free at once."""
        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            second = await life.submit("second")
            await complete(life)
            leased = await life.resources.queue.lease(1)
            seen = await life.load(second)
            if how == "cancel":
                await life.cancel(second)
            else:
                assert (await life.gateway.client.delete(f"/v1/predictions/{second}")).status_code == 204
            if sent:
                await life.resources.submit_queued.start.put_back(seen, "rate")
            else:
                await life.resources.submit_queued(second, leased.token)
            after = await life.load(second)
            assert (after.state, after.money, after.closed) == (State.CANCELED, "released", "never_started")
            assert (life.paid(), await places_taken(life)) == (1, 0)
            assert await life.resources.reconcile() == 0

    async def test_it_has_waited_too_long_and_there_is_room(self, redis_url: str, simulator: Running) -> None:
        """It has expired, and is not sent as well."""
        async with waiting(redis_url, simulator, max_queue_wait_s=300.0) as life:
            await life.resources.pause_account.pause("")
            first = await life.submit("first")
            life.clock.now_s += 301
            await life.resources.pause_account.resume()
            leased = await life.resources.queue.lease(64)
            await asyncio.gather(*(life.resources.submit_queued(one, leased.token) for one in leased.ids))
            assert (leased.ids, await state(life, first), life.paid()) == ((first,), State.EXPIRED, 0)

    async def test_a_success_from_before_does_not_end_a_back_off(self, redis_url: str, simulator: Running) -> None:
        """What was sent before the refusal says nothing of the account after it."""
        async with waiting(redis_url, simulator) as life:
            await life.resources.queue.heard("rate", "video", 30.0)
            await life.resources.queue.heard("well", "video")
            assert (await life.resources.queue.state()).blocked_until_ms > 0

    async def test_one_goes_ahead_and_no_more(self, redis_url: str, simulator: Running) -> None:
        """However often the queue is looked at, until it is known what came of that one."""
        async with waiting(redis_url, simulator, upstream_concurrency=10) as life:
            await life.resources.queue.heard("rate", "video")
            for prompt in ("first", "second", "third"):
                await life.submit(prompt)
            life.clock.now_s += 6
            first = await life.resources.queue.lease(64)
            assert len(first.ids) == 1
            assert (await life.resources.queue.lease(64)).ids == ()
            await life.resources.submit_queued(first.ids[0], first.token)
            assert len((await life.resources.queue.lease(64)).ids) == 2


class TestAccountRefused:
    """Whose fault it is, and when it is over."""

    async def test_a_model_that_is_refused_does_not_stop_the_others(self, redis_url: str, simulator: Running) -> None:
        """The account proves good once: then what is refused again has failed, and everybody else goes on."""
        async with waiting(redis_url, simulator) as life:
            beta = await life.gateway.key_of("beta")
            await life.submit("first")
            bad = await life.submit("[sim:submit=403] bad")
            await complete(life)
            assert await life.send() == 1
            assert (await life.gateway.submit("meanwhile")).status_code == 503
            await life.resources.watch_account()
            assert await life.send() == 1
            assert (await life.native(bad))["status"] == "failed"
            assert (await life.ledger()).released == PRICE_MICROS
            for _ in range(3):
                assert (await life.gateway.submit("[sim:submit=403] again")).status_code == 503
                await life.submit("another team's", beta)
                await complete(life)
            assert (await life.resources.queue.state()).paused_by == ""

    async def test_too_little_money_is_no_money(self, redis_url: str, simulator: Running) -> None:
        """With less than what was refused costs the account is not tried again."""
        async with waiting(redis_url, simulator) as life:
            life.simulator.arm("submit", "status", status=402, times=1)
            assert (await life.gateway.submit("first")).status_code == 503
            life.simulator.control("PUT", "balance", balance=0.39)
            await life.resources.watch_account()
            assert (await life.resources.queue.state()).paused_by == "account"
            life.simulator.control("PUT", "balance", balance=0.4)
            await life.resources.watch_account()
            assert (await life.resources.queue.state()).paused_by == ""

    async def test_an_operators_pause_is_the_operators(
        self, redis_url: str, simulator: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that pauses while the balance is being read stays paused."""
        async with waiting(redis_url, simulator) as life:
            life.simulator.arm("submit", "status", status=402, times=1)
            await life.gateway.submit("first")
            upstream = life.resources.upstream
            real = upstream.balance

            async def slow(_: Any) -> int:
                balance = await real()
                await life.resources.pause_account.pause("drill")
                return balance

            monkeypatch.setattr(type(upstream), "balance", slow)
            await life.resources.watch_account()
            assert (await life.resources.queue.state()).paused_by == "operator"

    async def test_a_balance_nobody_can_read(self, redis_url: str, simulator: Running) -> None:
        """After some minutes the account is tried all the same, and nothing that waits is blamed for it."""
        async with waiting(redis_url, simulator) as life:
            await life.submit("first")
            second = await life.submit("second")
            await complete(life)
            life.simulator.arm("submit", "status", status=401, times=2)
            life.simulator.arm("balance", "status", status=401, times=10)
            for _ in range(2):
                assert await life.send() == 1
                for passed_s, paused_by in ((TRY_ANYWAY_S - 30, "account"), (31, "")):
                    life.clock.now_s += passed_s
                    with pytest.raises(ReadFailed):
                        await life.resources.watch_account()
                    assert (await life.resources.queue.state()).paused_by == paused_by
                assert await state(life, second) is State.QUEUED
            assert await life.send() == 1
            assert prompts_paid(life) == ["first", "second"]


async def test_a_place_without_a_record_is_free_again(redis_url: str, simulator: Running) -> None:
    """Should a record vanish, the sweep finds its place."""
    async with waiting(redis_url, simulator) as life:
        first = await life.submit("first")
        await life.resources.commands("DEL", f"bw:prediction:{first}")
        life.clock.now_s += 86_400
        await life.resources.find_stuck.mend()
        assert await places_taken(life) == 0


async def test_a_refusal_frees_its_place_for_who_waits(redis_url: str, simulator: Running) -> None:
    """A submission sent at once and refused wakes the queue."""
    async with waiting(redis_url, simulator) as life:
        simulator.arm("submit", "late_status", status=422, seconds=0.2, times=1)
        refused = asyncio.create_task(life.gateway.submit("first"))
        await wait_until(lambda: posts_seen(simulator) == 1, what="the first is under way")
        second = await life.submit("second")
        assert (await refused).status_code == 422
        await life.resources.schedule.aclose()
        assert await life.resources.commands("ZRANGE", "arq:queue", 0, -1)
        assert await life.send() == 1
        assert await state(life, second) is State.CREATED
