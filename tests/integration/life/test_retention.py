"""After the end: outputs are announced to expire, and a week later everything is forgotten together."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from service.domain.predictions import RETENTION_MS
from tests.integration.life.life import PRICE_MICROS, Life, open_life
from tests.integration.simulator.running import Running

DAY_S = 86_400.0


@pytest.fixture
async def life(redis_url: str, simulator: Running) -> AsyncIterator[Life]:
    """A gateway and a worker whose looks are not metered: nothing of that is left behind."""
    async with open_life(redis_url, simulator) as life:
        life.resources.schedule.reads_per_s = None
        yield life


async def completed(life: Life, prompt: str = "a wave") -> str:
    """A prediction that has completed."""
    prediction_id = await life.submit(prompt)
    await life.pass_time(120)
    assert (await life.load(prediction_id)).state.ended
    return prediction_id


async def test_both_faces_say_until_when_outputs_last(life: Life) -> None:
    """Seven days after the end, in every answer that has outputs; null on the native face before."""
    running = await life.submit("[sim:stuck] a wave")
    assert (await life.native(running))["output_expires_at"] is None
    prediction_id = await completed(life)
    shown = await life.native(prediction_id)
    assert shown["output_expires_at"] == (await life.gateway.result(prediction_id))["output_expires_at"]
    prediction = await life.load(prediction_id)
    assert prediction.output_expires_at_ms == prediction.ended_at_ms + RETENTION_MS


async def test_an_event_tells_a_day_before(life: Life) -> None:
    """`prediction.output_expiring`, once, to endpoints that want it."""
    await life.register()
    prediction_id = await completed(life)
    before = await life.load(prediction_id)
    life.clock.now_s = before.ended_at_ms / 1000 + 6 * DAY_S - 1
    assert await life.work("retain") == []
    life.clock.now_s += 2
    assert await life.work("retain") == ["told"]
    after = await life.load(prediction_id)
    assert after.sequence == before.sequence + 1
    event = await life.resources.predictions.event_body(prediction_id, after.sequence)
    assert event is not None
    assert b'"type":"prediction.output_expiring"' in event
    assert "prediction.output_expiring" in await life.owed()
    assert await life.work("retain") == []


async def test_one_without_outputs_has_nothing_to_announce(life: Life) -> None:
    """A failed prediction is only forgotten."""
    prediction_id = await completed(life, "[sim:fail] a wave")
    ended_s = (await life.load(prediction_id)).ended_at_ms / 1000
    life.clock.now_s = ended_s + 6 * DAY_S + 10
    assert await life.work("retain") == []
    life.clock.now_s = ended_s + 7 * DAY_S + 1
    assert await life.work("retain") == ["purged"]


@pytest.mark.parametrize("prompt", ["a wave", "[sim:fail] a wave"])
async def test_after_a_week_everything_goes_together(life: Life, redis: Redis, prompt: str) -> None:
    """Record, events, deliveries, attempts, upstream claim, list entry: all at once. Books and the log's names stay."""
    await life.register()
    empty = {key async for key in redis.scan_iter("bw:*")}
    prediction_id = await completed(life, prompt)
    await life.resources.commands("LPUSH", f"bw:delivery:{prediction_id}-1-x:attempts", "kept by its delivery")
    await life.resources.commands("SADD", f"bw:prediction:{prediction_id}:deliveries", f"{prediction_id}-1-x")
    ledger = await life.ledger()
    for _ in range(8):
        life.clock.now_s += DAY_S
        await life.work("retain")
    assert (await life.gateway.client.get(f"/v1/predictions/{prediction_id}")).status_code == 404
    assert (await life.gateway.client.get(f"/api/v3/predictions/{prediction_id}/result")).status_code == 404
    left = {key.decode() async for key in redis.scan_iter("bw:*") if key not in empty}
    month = ledger.month
    assert left == {f"bw:tenant:acme:{kept}" for kept in (f"ledger:{month}", f"usage:{month}", "events")}
    assert (await life.resources.events.page("acme", "", 10, frozenset())).events == []
    assert await life.resources.ledger.ledger("acme", month) == ledger
    assert ledger.settled + ledger.released == PRICE_MICROS


async def test_what_is_not_closed_is_not_forgotten(life: Life) -> None:
    """A canceled prediction whose cost is unknown, since no worker ran for a week, waits for its closing."""
    prediction_id = await life.submit("[sim:stuck] a wave")
    await life.cancel(prediction_id)
    life.clock.now_s += 7 * DAY_S + 60
    assert await life.work("retain") == ["waiting"]
    life.finish(all=True)
    await life.pass_time(3_700, step_s=60)
    assert (await life.load(prediction_id)).closed == "completed"
    steps = []
    while "purged" not in steps:
        steps += await life.work("retain")
        life.clock.now_s += 60
    assert steps[-1] == "purged"


async def test_a_lost_lease_purges_nothing(life: Life) -> None:
    """Another worker has it: the record stays."""
    prediction_id = await completed(life, "[sim:fail] a wave")
    life.clock.now_s += 7 * DAY_S + 60
    leased = await life.resources.schedule.lease("retain", 10, 20.0)
    assert leased.ids == (prediction_id,)
    assert await life.resources.retain(prediction_id, "1") == "gone"
    assert (await life.load(prediction_id)).id == prediction_id


async def test_one_that_is_gone_is_forgotten(life: Life, redis: Redis) -> None:
    """A due entry without a record is taken away."""
    prediction_id = await completed(life)
    await redis.delete(f"bw:prediction:{prediction_id}")
    life.clock.now_s += 8 * DAY_S
    assert await life.work("retain") == ["gone"]
    assert await redis.zcard("bw:due:retain") == 0


class TestSetting:
    """How long before, as an operator sets it."""

    @pytest.fixture
    async def life(self, redis_url: str, simulator: Running) -> AsyncIterator[Life]:
        """A worker that announces nothing."""
        async with open_life(redis_url, simulator, output_expiring_s=0) as life:
            yield life

    async def test_zero_announces_nothing(self, life: Life) -> None:
        """The record is only forgotten."""
        prediction_id = await completed(life)
        life.clock.now_s += 6 * DAY_S + 7_200
        assert await life.work("retain") == []
        life.clock.now_s = (await life.load(prediction_id)).ended_at_ms / 1000 + 7 * DAY_S + 1
        assert await life.work("retain") == ["purged"]
