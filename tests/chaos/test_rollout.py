"""A new version rolled out under load: every gateway and worker is replaced, and no client and no receiver notices."""

import asyncio
import json
import random
import signal
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Final

import httpx2
import pytest

from service.cli.local_system import LocalProcess
from tests.chaos.balancer import Balancer
from tests.chaos.seeing_through import Client, Tally, client_of
from tests.journeys.system import Callback, Receiver, System, free_port
from tests.waiting import wait_until

REPLACEMENTS: Final = 4
"""How many gateways and how many workers are replaced, one after the other; two of each run at any time."""

CLIENTS: Final = 48
GRACE_S: Final = "3"
REFUSED_AT_FIRST: Final = 0.1
"""Share of callbacks the receiver refuses at their first attempt: the next one must carry the same id."""

PROMPTS: Final = (
    *["a wave"] * 35,
    *["[sim:delay=1.5] a wave that is answered when the grace is over"] * 4,
    "[sim:delay=6] a wave whose client is answered before the gateway is",
)
"""Most submissions are answered at once; some are in flight when the grace ends, whenever that is."""

BUSY: Final = 'breakwater_worker_in_flight{due_set="poll"}'
"""The series of a worker's looks in flight."""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway or a worker, and where its probes are."""

    process: LocalProcess
    url: str

    async def ends(self) -> None:
        """SIGTERM, as Kubernetes sends it: it turns red while it still answers, and ends with status 0."""
        self.process.process.send_signal(signal.SIGTERM)
        await self.answers(503)
        assert await asyncio.to_thread(self.process.process.wait, 30) == 0, self.process.log_file.read_text()[-2000:]

    async def answers(self, status: int) -> None:
        """Wait until the readiness probe answers a status. Not to be connected to fails the test."""
        async with httpx2.AsyncClient(trust_env=False) as client:

            async def answered() -> bool:
                return (await client.get(f"{self.url}/readyz")).status_code == status

            await wait_until(answered, what=f"{self.process.name} is {status}")


@dataclass(frozen=True, slots=True)
class Rollout:
    """Two gateways and two workers, replaced one after the other: the new one is ready before the old one is told."""

    system: System
    balancer: Balancer
    gateways: list[Running] = field(default_factory=list)
    workers: list[Running] = field(default_factory=list)

    async def start_gateway(self) -> None:
        """Start one more gateway."""
        port = free_port()
        gateway = Running(await self.system.start_another_gateway(port), f"http://127.0.0.1:{port}")
        self.gateways.append(gateway)
        self.balancer.add(gateway.url)
        await wait_until(lambda: self.balancer.sends_to(gateway.url), what="the new gateway gets connections")

    async def start_worker(self) -> None:
        """Start one more worker."""
        port = free_port()
        worker = Running(await self.system.start_another_worker(port), f"http://127.0.0.1:{port}")
        self.workers.append(worker)
        await worker.answers(200)

    async def replace_gateways(self) -> None:
        """Replace them; each is told while submissions are being answered upstream."""
        for _ in range(REPLACEMENTS):
            await self.start_gateway()
            old = self.gateways.pop(0)
            await old.ends()
            self.balancer.remove(old.url)

    async def replace_workers(self) -> None:
        """Replace them; each is told in the midst of looks, every one of which takes a second just then."""
        slow = {"operation": "result", "fault": "delay", "seconds": 1, "times": 10_000}
        for _ in range(REPLACEMENTS):
            await self.start_worker()
            old = self.workers.pop(0)
            await self.system.upstream.post("/_control/faults", json=slow)
            await wait_until(lambda old=old: self._looks(old), timeout_s=30, what="it is busy")  # type: ignore[misc]
            await old.ends()
            await self.system.upstream.delete("/_control/faults")

    async def _looks(self, worker: Running) -> bool:
        """Whether a worker has several looks in flight."""
        return await self.system.metric(worker.url, BUSY) >= 3


def _ids_by_prediction(callbacks: list[Callback]) -> dict[str, set[str]]:
    """The webhook ids under which each prediction's end was told."""
    ids = defaultdict[str, set[str]](set)
    for callback in callbacks:
        ids[json.loads(callback.body)["data"]["id"]].add(callback.headers["webhook-id"])
    return ids


@pytest.mark.timeout(150)
async def test_a_rollout_fails_no_request_and_loses_no_work(
    tmp_path: Path, redis_url: str, receiver: Receiver, chance: random.Random
) -> None:
    """Gateways and workers replaced under load: no request fails; each video is paid once, completed, and told."""
    async with System(tmp_path, redis_url, BREAKWATER_SHUTDOWN_GRACE_S=GRACE_S) as system, Balancer() as balancer:
        rollout = Rollout(system, balancer)
        await system.start_simulator("--balance", "1000000")
        await asyncio.gather(
            rollout.start_gateway(), rollout.start_gateway(), rollout.start_worker(), rollout.start_worker()
        )
        await system.create_tenant()
        endpoint = {"url": f"{receiver.url}/events", "events": ["prediction.completed"]}
        assert (await system.client.post(f"{balancer.url}/v1/endpoints", json=endpoint)).status_code == 201
        receiver.answer = lambda callback: (
            503 if callback.headers["webhook-attempt"] == "1" and chance.random() < REFUSED_AT_FIRST else 204
        )
        tally, ended = Tally(), asyncio.Event()
        prompts = cycle(chance.sample(PROMPTS, len(PROMPTS)))
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as load:
            for number in range(CLIENTS):
                http = await stack.enter_async_context(client_of(system, balancer.url, kept=number % 4 > 0))
                load.create_task(Client(http, tally, chance).work(prompts, ended))
            await asyncio.gather(rollout.replace_gateways(), rollout.replace_workers())
            ended.set()

        await wait_until(
            lambda: tally.completed <= _ids_by_prediction(receiver.received).keys(), what="every callback arrives"
        )
        paid = (await system.seen_upstream())["paid_submissions"]
        again = len(receiver.received) - len(tally.completed)
        print(  # noqa: T201
            f"rollout: {REPLACEMENTS} gateways and {REPLACEMENTS} workers replaced under load, "
            f"{tally.requests} requests, {len(tally.failed)} failed, {len(tally.completed)} predictions completed, "
            f"{paid} paid, {len(receiver.received)} callbacks ({again} more than once)"
        )
    assert tally.failed == []
    assert tally.completed == set(tally.accepted)
    assert paid == len(tally.accepted)
    assert {prediction: len(ids) for prediction, ids in _ids_by_prediction(receiver.received).items()} == dict.fromkeys(
        tally.accepted, 1
    )
