"""arq is built again after Redis was cut, for as long as nobody says stop, and ends promptly when somebody does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from arq import Worker

from service.resources import Resources, open_resources
from service.stores import keys
from tests.fault_proxy import FaultProxy
from tests.integration.stores.stack import process_settings
from tests.waiting import wait_until
from worker import supervisor
from worker.app import wake_worker
from worker.supervisor import supervise
from worker.work_pool import WorkPool

PROMPT_S = 2.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for 20 ms each time."""
    monkeypatch.setattr(supervisor, "BACKOFF_S", (0.02,))


@pytest.fixture
async def resources(redis_proxy: FaultProxy) -> AsyncIterator[Resources]:
    """What a worker opens, with a network that fails on command."""
    async with open_resources(process_settings(redis_proxy.url)) as resources:
        yield resources


class Arq:
    """Builds the worker's arq, counts how often, and notes what was worked on."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.built: list[Worker] = []
        self.worked: list[str] = []
        lease = partial(resources.schedule.lease, "poll", lease_s=20.0)
        self.pool = WorkPool("poll", 10, lease, resources.schedule, self._finish, resources.metrics)

    async def _finish(self, item_id: str, token: str) -> None:
        await self.resources.schedule.put_back("poll", item_id, token, None)
        self.worked.append(item_id)

    def build(self) -> Worker:
        """One more arq worker."""
        self.built.append(wake_worker(self.resources, {"poll": self.pool}))
        return self.built[-1]

    async def works_on(self, item_id: str) -> None:
        """Have one item done through arq."""
        await self.resources.commands("ZADD", keys.due("poll"), int(self.resources.clock() * 1000), item_id)
        self.resources.schedule.wake("poll", 0.0)
        await wait_until(lambda: item_id in self.worked, what=f"{item_id} is worked on")


async def stopped(supervising: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """Say stop; the supervisor must return promptly and leave no task behind."""
    stop.set()
    await asyncio.wait_for(supervising, PROMPT_S)


async def test_arq_is_built_again_after_redis_was_cut(resources: Resources, redis_proxy: FaultProxy) -> None:
    """An outage ends arq's main loop; it is built anew until Redis is back, and then works on what is due."""
    arq, stop = Arq(resources), asyncio.Event()
    supervising = asyncio.create_task(supervise(arq.build, stop))
    await arq.works_on("before")
    assert len(arq.built) == 1
    redis_proxy.refuse()
    await redis_proxy.cut()
    await wait_until(lambda: len(arq.built) >= 4, what="arq is built again and again")
    await redis_proxy.listen()
    await arq.works_on("after")
    await stopped(supervising, stop)


@pytest.mark.parametrize("trouble", [FaultProxy.blackhole, FaultProxy.refuse, FaultProxy.pass_through])
async def test_stop_ends_it_promptly(
    resources: Resources, redis_proxy: FaultProxy, trouble: Callable[[FaultProxy], None]
) -> None:
    """Whatever Redis does, stop is obeyed at once and no job is left running."""
    arq, stop = Arq(resources), asyncio.Event()
    supervising = asyncio.create_task(supervise(arq.build, stop))
    await arq.works_on("before")
    trouble(redis_proxy)
    await stopped(supervising, stop)
    assert not any(worker.tasks and not all(t.done() for t in worker.tasks.values()) for worker in arq.built)


async def test_stop_ends_a_back_off(
    resources: Resources, redis_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that waits before its next try does not wait it out."""
    monkeypatch.setattr(supervisor, "BACKOFF_S", (3600.0,))
    redis_proxy.refuse()
    arq, stop = Arq(resources), asyncio.Event()
    backing_off = asyncio.Event()
    monkeypatch.setattr(supervisor.log, "warning", lambda *_, **__: backing_off.set())
    supervising = asyncio.create_task(supervise(arq.build, stop))
    await asyncio.wait_for(backing_off.wait(), 10)
    await stopped(supervising, stop)
    assert len(arq.built) == 1


async def test_stopped_before_it_begins_it_builds_nothing(resources: Resources) -> None:
    """A stop that is already said is heard."""
    arq, stop = Arq(resources), asyncio.Event()
    stop.set()
    await asyncio.wait_for(supervise(arq.build, stop), PROMPT_S)
    assert arq.built == []
