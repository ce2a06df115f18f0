"""Wake-ups reach the worker under the names it registers, and work without them is found by the sweep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from arq import Worker
from arq.jobs import Job
from pydantic_core import from_json
from redis.asyncio import Redis

from service.resources import Resources, open_resources
from service.stores import keys
from service.stores.work_schedule import DUE_SETS
from tests.fault_proxy import FaultProxy
from tests.integration.stores.stack import process_settings
from tests.waiting import wait_until
from worker.app import Pools, build_pools, cron_worker, wake_worker
from worker.supervisor import supervise
from worker.sweep import sweep
from worker.work_pool import WorkPool


class Worked(list[tuple[str, str]]):
    """What the pools worked on: due set and item, in order."""

    def pools(self, resources: Resources) -> Pools:
        """Pools that finish every item at once."""

        def pool(due_set: keys.DueSet) -> WorkPool:
            async def finish(item_id: str, token: str) -> None:
                assert await _finished(resources, due_set, item_id, token)
                self.append((due_set, item_id))

            lease = partial(resources.schedule.lease, due_set, lease_s=20.0)
            return WorkPool(due_set, 10, lease, resources.schedule, finish, resources.metrics)

        return {due_set: pool(due_set) for due_set in DUE_SETS if due_set != "submit"}


async def _finished(resources: Resources, due_set: keys.DueSet, item_id: str, token: str) -> bool:
    """Take an item off its due set."""
    if due_set == "poll" or due_set == "retain":
        return await resources.schedule.put_back(due_set, item_id, token, None)
    delivery = await resources.deliveries.load(item_id)
    assert delivery is not None
    return (await resources.deliveries.finish_attempt(delivery, token, "delivered", {})).ours


@asynccontextmanager
async def supervised(*workers: Any) -> AsyncIterator[None]:
    """Keep arq workers running, as the process does, for as long as the block runs."""
    stop = asyncio.Event()
    running = [asyncio.create_task(supervise(build, stop)) for build in workers]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*running), 5.0)


async def owe(resources: Resources, due_set: keys.DueSet, item_id: str, in_s: float = 0.0) -> None:
    """Have an item fall due, by the clock of now; a delivery in its lane."""
    due_ms = int((resources.clock() + in_s) * 1000)
    if due_set == "poll" or due_set == "retain":
        await resources.commands("ZADD", keys.due(due_set), due_ms, item_id)
        return
    record: dict[str, str | int] = {"tenant": "acme", "event": "endpoint.test", "state": "pending", "lane": "ep_1"}
    record |= {"attempts": 0, "created_at_ms": due_ms, "message_id": "evt_1"}
    fields = [part for pair in record.items() for part in pair]
    await resources.commands("HSET", keys.delivery(item_id), *fields)
    await resources.commands("PEXPIRE", keys.delivery(item_id), keys.DELIVERY_MS)
    await resources.commands("ZADD", keys.lane_due("ep_1"), due_ms, item_id)
    await resources.commands("PEXPIRE", keys.lane_due("ep_1"), keys.DELIVERY_MS)
    await resources.commands("ZADD", keys.due("deliver"), "LT", due_ms, "ep_1")


async def sweep_once(resources: Resources) -> None:
    """Sweep as the cron does."""
    await sweep(
        resources.schedule, resources.find_stuck, resources.watch_account, resources.measure_store, resources.metrics
    )


async def delete_arq(redis: Redis) -> None:
    """Delete everything arq holds."""
    arq = await redis.keys("arq:*")
    assert arq
    await redis.delete(*arq)


@pytest.mark.parametrize("due_set", [due_set for due_set in DUE_SETS if due_set != "submit"])
async def test_the_worker_registers_the_job_that_is_enqueued(resources: Resources, due_set: keys.DueSet) -> None:
    """The name and arguments of a wake-up are those of a job the worker has, in the queue the worker reads."""
    resources.schedule.wake(due_set, 0.0)
    await resources.schedule.aclose()
    (raw,) = await resources.arq.zrange(keys.QUEUE, 0, -1)
    job = await Job(raw.decode(), resources.arq, _deserializer=from_json).info()
    assert job is not None
    worked = Worked()
    worker = wake_worker(resources, worked.pools(resources))
    assert worker.queue_name == keys.QUEUE
    await owe(resources, due_set, "i1")
    await worker.functions[job.function].coroutine({}, *job.args, **job.kwargs)
    await wait_until(lambda: worked == [(due_set, "i1")])


async def test_real_pools_cover_every_due_set(resources: Resources) -> None:
    """Nothing can be owed in a due set that the worker has no pool for."""
    pools = build_pools(resources, object())  # type: ignore[arg-type] # sends nothing here
    assert set(pools) == set(DUE_SETS)


def settings_of(worker: Worker) -> dict[str, object]:
    """What matters of how arq is set up."""
    return {
        "results kept for": worker.keep_result_s,
        "handles signals": worker._handle_signals,
        "reads": worker.job_deserializer,
    }


async def test_arq_is_set_up_to_be_disposable(resources: Resources) -> None:
    """Both arq workers: JSON and no pickle, no results kept, signals left to us, short jobs, queues of their own."""
    wakes, crons = wake_worker(resources, Worked().pools(resources)), cron_worker(resources)
    expected = {"results kept for": 0, "handles signals": False, "reads": from_json}
    assert settings_of(wakes) == settings_of(crons) == expected
    assert wakes.job_timeout_s <= 20
    assert crons.job_timeout_s <= 20
    assert wakes.queue_name != crons.queue_name
    assert not set(wakes.functions) & set(crons.functions)
    assert [cron.name for cron in crons.cron_jobs] == ["sweep", "reconcile", "balance", "measure", "endpoints"]


async def test_a_wake_up_has_due_work_done(resources: Resources) -> None:
    """From an item put on a due set and a wake-up to work done, through a real arq."""
    worked = Worked()
    pools = worked.pools(resources)
    async with supervised(lambda: wake_worker(resources, pools)):
        await owe(resources, "deliver", "d1")
        await owe(resources, "poll", "p1")
        resources.schedule.wake("deliver", 0.0)
        resources.schedule.wake("poll", 0.0)
        await wait_until(lambda: sorted(worked) == [("deliver", "d1"), ("poll", "p1")], what="both are worked on")


async def test_what_falls_due_later_is_worked_on_without_another_call(resources: Resources) -> None:
    """One wake-up leads to the next: an item that falls due in a moment needs nobody to ask again."""
    worked = Worked()
    pools = worked.pools(resources)
    async with supervised(lambda: wake_worker(resources, pools)):
        await owe(resources, "poll", "soon", in_s=0.4)
        await owe(resources, "poll", "now")
        resources.schedule.wake("poll", 0.0)
        await wait_until(lambda: worked == [("poll", "now"), ("poll", "soon")])


async def test_a_sweep_finds_work_whose_wake_up_was_lost(resources: Resources, redis: Redis) -> None:
    """With every arq key deleted, due items are worked on after one sweep."""
    worked = Worked()
    pools = worked.pools(resources)
    await owe(resources, "deliver", "d1", in_s=-60)
    await owe(resources, "poll", "p1", in_s=-30)
    resources.schedule.wake("deliver", 0.0)
    await resources.schedule.aclose()
    await delete_arq(redis)
    async with supervised(lambda: wake_worker(resources, pools)):
        later = resources.clock() + 0.25  # the lost wake-up's slot is remembered as enqueued: a sweep comes later
        await wait_until(lambda: resources.clock() > later)
        await sweep_once(resources)
        await wait_until(lambda: sorted(worked) == [("deliver", "d1"), ("poll", "p1")], what="both are worked on")


async def test_the_cron_worker_sweeps_when_it_starts(resources: Resources) -> None:
    """A worker that starts after an outage does not wait for the clock: it sweeps at once."""
    worked = Worked()
    pools = worked.pools(resources)
    await owe(resources, "poll", "p1", in_s=-60)
    async with supervised(lambda: wake_worker(resources, pools), lambda: cron_worker(resources)):
        await wait_until(lambda: worked == [("poll", "p1")], what="the backlog is worked on")


async def test_a_sweep_measures_what_is_owed(resources: Resources, redis: Redis) -> None:
    """Size and oldest age of both due sets are metrics; only what is due wakes anybody."""
    await owe(resources, "deliver", "d1", in_s=-60)
    await owe(resources, "poll", "p1", in_s=60)
    await owe(resources, "poll", "p2", in_s=90)
    await sweep_once(resources)
    await resources.schedule.aclose()

    def sample(name: str, due_set: str) -> float | None:
        return resources.metrics.registry.get_sample_value(name, {"due_set": due_set})

    assert sample("breakwater_due_items", "poll") == 2
    assert sample("breakwater_oldest_due_age_seconds", "poll") == 0
    assert sample("breakwater_due_items", "deliver") == 1
    assert sample("breakwater_oldest_due_age_seconds", "deliver") == pytest.approx(60, abs=5)
    assert [raw.split(b":")[1] for raw in await redis.zrange("arq:queue", 0, -1)] == [b"deliver"]


async def test_a_sweep_without_redis_is_put_off(redis_proxy: FaultProxy) -> None:
    """While Redis is away a sweep raises nothing; the next one finds everything."""
    redis_proxy.refuse()
    async with open_resources(process_settings(redis_proxy.url)) as resources:
        await sweep_once(resources)
