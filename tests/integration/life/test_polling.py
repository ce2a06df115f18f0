"""When WaveSpeed is asked: at the model's pace, within the account's rate, rarely while it is in trouble."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.domain.predictions import State
from tests.integration.life.life import Life, open_life
from tests.integration.simulator.running import Running

STUCK = "[sim:stuck] a wave"


def looks(life: Life) -> int:
    """How often the upstream was asked for a result."""
    asked: int = life.simulator.seen()["requests"].get("result", 0)
    return asked


async def test_the_usual_time_first_then_growing_steps(life: Life) -> None:
    """Not before a run is usually done; then every 5 s at least, and rarer the longer it goes."""
    await life.submit(STUCK)
    assert await life.pass_time(44, step_s=1) == []
    gaps, since = [], 0
    for _ in range(600):
        since += 1
        if await life.pass_time(1, step_s=1):
            gaps.append(since)
            since = 0
    assert 1 <= gaps[0] <= 11
    assert min(gaps[1:]) >= 5
    assert max(gaps) <= 37
    assert sum(gaps[1:6]) < sum(gaps[-5:])


async def test_retry_after_is_honoured(life: Life) -> None:
    """Asked for a minute's patience, it has it."""
    await life.submit(STUCK)
    life.simulator.arm("result", "status", status=429, retry_after=60)
    await life.pass_time(60, step_s=1)
    assert looks(life) == 1
    since = 0
    while looks(life) == 1:
        await life.pass_time(1, step_s=1)
        since += 1
    assert since >= 45  # of the 60 some passed within the first minute


async def test_errors_are_no_verdict_and_looks_grow_rarer(life: Life) -> None:
    """404, malformed, 5xx, cut answers: the prediction runs on, and completes when the upstream can say so."""
    prediction_id = await life.submit(
        "[sim:poll=500x2][sim:poll=404x2][sim:poll=malformed][sim:poll=cut][sim:poll=html] a wave"
    )
    await life.pass_time(60)
    assert (await life.load(prediction_id)).state is State.CREATED
    await life.pass_time(600)
    assert (await life.load(prediction_id)).state is State.COMPLETED


async def test_backwards_and_unknown_statuses_change_nothing_and_are_counted(life: Life) -> None:
    """From `processing` nothing leads back; a word nobody knows means it runs."""
    prediction_id = await life.submit("[sim:backwards][sim:duration=300] a wave")
    await life.pass_time(110)
    assert (await life.load(prediction_id)).state is State.PROCESSING
    ignored = life.sample("breakwater_transitions_total", outcome="ignored")
    await life.pass_time(60)
    assert life.sample("breakwater_transitions_total", outcome="ignored") > ignored
    assert (await life.gateway.result(prediction_id))["status"] == "processing"
    await life.submit("[sim:unknown-status][sim:duration=300] a wave")
    await life.pass_time(200)
    assert life.sample("breakwater_looks_total", result="unknown_status") >= 1


async def test_a_dead_upstream_is_cheap(life: Life) -> None:
    """Five failures stop the reads; one try in thirty seconds finds out that it is back; no look counts as failed."""
    ids = [await life.submit(f"{STUCK} {number}") for number in range(40)]
    life.simulator.arm("result", "status", status=503, times=10_000)
    await life.pass_time(60, step_s=1)
    assert looks(life) <= 8, "forty predictions are due, and nearly nobody asks"
    asked = looks(life)
    await life.pass_time(300, step_s=1)
    assert looks(life) - asked <= 11
    assert life.sample("breakwater_upstream_breaker_open") == 1
    assert life.sample("breakwater_upstream_calls_total", operation="result", outcome="paused") > 0
    httpx_free = life.simulator.control("DELETE", "faults")
    assert httpx_free == {"armed": 0}
    life.finish(all=True)
    await life.pass_time(120, step_s=1)
    assert {(await life.load(one)).state for one in ids} == {State.COMPLETED}
    assert life.sample("breakwater_upstream_breaker_open") == 0


async def test_refusals_to_read_are_no_sign_of_death(life: Life) -> None:
    """A 404 or 429 is an answer: reads go on."""
    for number in range(10):
        await life.submit(f"[sim:poll=404x9] {number}")
    await life.pass_time(120)
    assert life.sample("breakwater_upstream_breaker_open") == 0


class TestRate:
    """How often the account is read in all."""

    @pytest.fixture
    async def life(self, redis_url: str, simulator: Running) -> AsyncIterator[Life]:
        """A worker that may look four times a second."""
        async with open_life(redis_url, simulator, upstream_reads_per_s=4) as life:
            yield life

    async def test_it_is_never_exceeded_over_all_workers(self, life: Life, redis_url: str, simulator: Running) -> None:
        """Two workers with a hundred predictions due at once: four looks a second between them, and all get theirs."""
        for number in range(100):
            await life.submit(f"{STUCK} {number}")
        life.clock.now_s += 60
        async with open_life(redis_url, simulator, upstream_reads_per_s=4) as other:
            asked = []
            for _ in range(80):
                life.clock.now_s += 0.25
                await asyncio.gather(life.work(), other.work(), life.work(), other.work())
                asked.append(looks(life))
        assert all(count <= quarter + 1 for quarter, count in enumerate(asked, start=1))
        assert asked[-1] >= 79

    async def test_deliveries_are_not_held_up_by_it(self, redis_url: str, simulator: Running) -> None:
        """Only looks at the upstream are metered."""
        async with open_life(redis_url, simulator, upstream_reads_per_s=1, endpoint_concurrency=20) as life:
            await life.register()
            for number in range(20):
                await life.cancel(await life.submit(f"{STUCK} {number}"))
            leased = await life.resources.schedule.lease("deliver", 100, 20.0)
            assert len(leased.ids) == 20


async def test_a_crashed_worker_s_looks_are_taken_over_within_thirty_seconds(life: Life) -> None:
    """What it had leased falls due again when the lease ends, and not before: nobody works on it meanwhile."""
    await life.submit(STUCK)
    life.clock.now_s += 60
    leased = await life.resources.schedule.lease("poll", 100, 20.0)
    assert len(leased.ids) == 1
    assert await life.pass_time(19, step_s=1) == []
    assert await life.pass_time(11, step_s=1) != []


async def test_of_two_workers_one_gets_an_item(life: Life, redis_url: str, simulator: Running) -> None:
    """However many workers lease at the same moment, each item is leased once."""
    for number in range(50):
        await life.submit(f"{STUCK} {number}")
    life.clock.now_s += 60
    async with open_life(redis_url, simulator) as other:
        schedules = [life.resources.schedule, other.resources.schedule] * 5
        for schedule in schedules:
            schedule.reads_per_s = None
        leases = await asyncio.gather(*(schedule.lease("poll", 10, 20.0) for schedule in schedules))
    ids = [item for leased in leases for item in leased.ids]
    assert (len(ids), len(set(ids))) == (50, 50)


async def test_what_is_stuck_is_listed_counted_and_looked_at_again(life: Life, redis: Redis) -> None:
    """No move for the deadline and five minutes: listed with its age; if its due entry was lost, it gets one."""
    prediction_id = await life.submit(STUCK)
    await redis.zrem("bw:due:poll", prediction_id)
    life.clock.now_s += 1_800 + 299
    assert await life.resources.find_stuck(10) == []
    life.clock.now_s += 61
    (stuck,) = await life.resources.find_stuck(10)
    assert (stuck.prediction.id, round(stuck.stuck_s)) == (prediction_id, 60)
    assert await life.resources.find_stuck.mend() == 1
    assert life.sample("breakwater_predictions_stuck") == 1
    await life.pass_time(60)
    assert (await life.load(prediction_id)).state is State.EXPIRED
    assert await life.resources.find_stuck.mend() == 0
    assert life.sample("breakwater_predictions_stuck") == 0


async def test_what_moves_is_not_stuck(life: Life) -> None:
    """Running, ending, closing in their time: nothing is listed at any moment."""
    await life.submit("a wave")
    await life.submit(STUCK)
    life.simulator.arm("submit", "status", status=503)
    await life.submit("a third")
    await life.cancel(await life.submit(f"{STUCK} too"))
    for _ in range(40):
        await life.pass_time(120, step_s=20)
        assert await life.resources.find_stuck(10) == []
