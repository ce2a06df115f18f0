"""Everything fails, over and over, for thousands of predictions: nothing is lost, paid twice, or told to nobody."""

import asyncio
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient
from pydantic_core import from_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.domain.limits import window_of
from service.domain.predictions import ENDED, Prediction, State
from service.domain.tenant_spec import read_spec
from service.embedded_redis import embedded_server
from service.resources import Resources
from service.stores.keys import due
from tests.chaos.crew import two_and_two
from tests.chaos.short_account import no_place_is_taken, nobody_waits
from tests.chaos.submitting import submit
from tests.conftest import TEST_SERVER
from tests.journeys.system import Callback, Receiver, System, free_port
from tests.waiting import wait_until

PREDICTIONS: Final = int(os.environ.get("CHAOS_PREDICTIONS", "2400"))
SUBMITTERS: Final = 32
PAUSE_S: Final = 1.0
"""Longest rest of a submitter, in seconds: the trouble should have time to happen."""

PER_MINUTE: Final = max(60, PREDICTIONS * 7 // 12)
CONCURRENT: Final = max(60, PREDICTIONS // 4)
"""What the account allows: too little for all that is submitted within its first minute."""

TENANTS: Final = ("acme", "beta")
PRICE: Final = 400_000

PLAIN: Final = 18
FAULTS: Final = (
    *[""] * PLAIN,
    "[sim:fail]",
    "[sim:nsfw]",
    "[sim:submit=422]",
    "[sim:submit=lost]",
    "[sim:submit=cut]",
    "[sim:submit=malformed]",
    "[sim:submit=500]",
    "[sim:submit=503]",
    "[sim:submit=302]",
    "[sim:submit=drop]",
    "[sim:submit=html]",
    "[sim:delay=7]",
    "[sim:poll=500x3]",
    "[sim:poll=404x2]",
    "[sim:poll=429][sim:poll=malformed]",
    "[sim:poll=cut][sim:poll=html][sim:poll=drop]",
    "[sim:backwards][sim:duration=2]",
    "[sim:unknown-status]",
    "[sim:empty-outputs]",
    "[sim:webhook-twice]",
    "[sim:no-webhook]",
)
"""What the upstream is asked to do wrong: each kind for one prediction in forty."""

HANGING: Final = 6
"""How many submissions the upstream never answers, nor accepts; the first ones, since they take the longest to end."""


def prompt_of(number: int) -> str:
    """What the prediction of this number asks for; no two ask for the same."""
    fault = "[sim:submit=hang]" if number < HANGING else FAULTS[number % len(FAULTS)]
    return f"{fault} wave number {number}"


@dataclass
class Fire:
    """A Redis server that keeps what it answered, killed and started again on the same port and directory."""

    directory: Path
    port: int = field(default_factory=free_port)
    kills: int = 0
    _server: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """Where it is, whenever it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @asynccontextmanager
    async def burning(self) -> AsyncIterator["Fire"]:
        """Run it for the time of the block."""
        await self._start()
        try:
            yield self
        finally:
            await asyncio.to_thread(self._server.close)

    async def _start(self) -> None:
        binary = os.environ.get(TEST_SERVER)
        server = embedded_server(self.port, self.directory, appendonly=True, binary=binary)
        await asyncio.to_thread(self._server.enter_context, server)

    async def kill(self) -> None:
        """SIGKILL, and a new start."""
        async with Redis.from_url(self.url) as client:
            process_id = int((await client.info("server"))["process_id"])
        os.kill(process_id, signal.SIGKILL)
        await asyncio.to_thread(self._server.close)
        self.kills += 1
        await self._start()

    async def forget_arq(self) -> int:
        """Delete every key of arq's."""
        async with Redis.from_url(self.url) as client:
            return sum([await client.delete(key) async for key in client.scan_iter("arq:*", count=1000)])


async def burn(fire: Fire, chance: random.Random, deleted: list[int]) -> None:
    """Kill Redis or delete arq's keys now and then, until canceled; in the end Redis is there."""
    while True:
        await asyncio.sleep(chance.uniform(2.0, 5.0))
        if chance.random() < 0.5:
            killing = asyncio.ensure_future(fire.kill())
            try:
                await asyncio.shield(killing)
            finally:
                await killing
        else:
            try:
                deleted.append(await fire.forget_arq())
            except RedisError:  # it was just killed
                continue


@pytest.mark.timeout(420)
async def test_everything_fails_and_nothing_is_lost(tmp_path: Path, chance: random.Random) -> None:
    """Gateways, workers and Redis killed, arq emptied, every fault of the upstream, receivers that fail: all add up."""
    called_back = chance.random() < 0.5
    ports = [free_port(), free_port()]
    fire = Fire(tmp_path / "redis")
    receiver = Receiver(answer=lambda _: 503 if chance.random() < 0.15 else 204)
    callbacks = {
        "BREAKWATER_UPSTREAM_WEBHOOKS": "on",
        "BREAKWATER_SIGNING_KEY": "signs-our-ids-in-urls",
        "BREAKWATER_PUBLIC_URL": f"http://127.0.0.1:{ports[0]}",
    }
    print(f"chaos: {PREDICTIONS} predictions, WaveSpeed {'calls back' if called_back else 'is polled'}")  # noqa: T201
    settings = {
        "BREAKWATER_RETRY_SCALE": "0.002",
        "BREAKWATER_DRAIN_S": "2",
        "BREAKWATER_UPSTREAM_PER_MINUTE": str(PER_MINUTE),
        "BREAKWATER_UPSTREAM_CONCURRENCY": str(CONCURRENT),
        **(callbacks if called_back else {}),
    }
    deleted: list[int] = []
    async with fire.burning(), receiver.running(), System(tmp_path, fire.url, **settings) as system:
        limits = ["--per-minute", str(PER_MINUTE), "--concurrent", str(CONCURRENT)]
        await system.start_simulator("--balance", "1000000000", *limits)
        crew = two_and_two(system, ports)
        await crew.begin()
        keys = [await _tenant(system, tenant, receiver) for tenant in TENANTS]
        bases = tuple(f"http://127.0.0.1:{port}" for port in ports)
        numbers = iter(range(PREDICTIONS))
        answers: dict[int, str] = {}

        async def submitter(client: Httpx2AiohttpClient) -> None:
            for number in numbers:
                key = keys[number % len(keys)]
                hook = f"{receiver.url}/callback" if number % 3 == 0 else ""
                answers[number] = await submit(client, bases, key, number, prompt_of(number), hook)
                await asyncio.sleep(chance.uniform(0.0, PAUSE_S))

        async with Httpx2AiohttpClient(timeout=20.0, trust_env=False) as client:
            trouble = [asyncio.create_task(crew.harass(chance)), asyncio.create_task(burn(fire, chance, deleted))]
            await asyncio.gather(*(submitter(client) for _ in range(SUBMITTERS)))
            async with system.resources() as resources:
                await wait_until(partial(nobody_waits, resources), timeout_s=150, what="nobody waits for the account")
            for task in trouble:
                task.cancel()
            for ended in await asyncio.gather(*trouble, return_exceptions=True):
                assert isinstance(ended, asyncio.CancelledError), ended
        async with system.resources() as resources:
            await _all_done(resources)
            await _audit(system, resources, answers, receiver.received)
        print(  # noqa: T201
            f"chaos: {sum(crew.kills.values())} processes killed, Redis killed {fire.kills} times,"
            f" {sum(deleted)} keys of arq deleted, {len(receiver.received)} callbacks received"
        )
        assert sum(crew.kills.values()) >= 5
        assert fire.kills >= 2


async def _tenant(system: System, tenant_id: str, receiver: Receiver) -> str:
    """A tenant without limits that matter, with an endpoint for every event; its key."""
    key = await system.create_tenant(tenant_id, read_spec({"limits": {"concurrency": 1_000_000, "budget_usd": "9999"}}))
    async with system.resources() as resources:
        tenant = await resources.tenants.get(tenant_id)
        await resources.register_endpoint(tenant, f"{receiver.url}/endpoint", [])
    return key


async def _predictions(resources: Resources) -> dict[str, Prediction]:
    """Every prediction there is, by id."""
    ids = [one.id for tenant in TENANTS for one in [b async for b in resources.reconcile.books.predictions(tenant)]]
    loaded = await asyncio.gather(*(resources.predictions.load(one) for one in ids))
    return {one.id: one for one in loaded if one is not None}


async def _all_done(resources: Resources) -> None:
    """Wait until every prediction has ended, and nothing is owed to anybody."""

    async def nothing_owed() -> bool:
        return not await resources.commands("EXISTS", due("submit"), due("poll"), due("deliver"))  # at one moment

    await wait_until(nothing_owed, timeout_s=240, what="every prediction has ended and was told of")


async def _audit(system: System, resources: Resources, answers: dict[int, str], received: list[Callback]) -> None:
    """Compare what was accepted, what the upstream did, what the books say and what receivers got."""
    assert len(answers) == PREDICTIONS
    accepted = {number: prediction_id for number, prediction_id in answers.items() if prediction_id}
    assert len(set(accepted.values())) == len(accepted), "no prediction stands for two submissions"
    known = await _predictions(resources)
    assert set(accepted.values()) <= set(known), "what was accepted is known"
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    seen = await system.seen_upstream()
    assert "429" not in seen["refused"], "the account's limits were never hit"
    for task in seen["submissions"]:
        tasks[task["input"]["prompt"]].append(task)
    assert all(len(found) == 1 for found in tasks.values()), "nothing is paid twice"
    ends: Counter[str] = Counter()
    for number, prediction_id in accepted.items():
        ends[_end(known[prediction_id], tasks.get(prompt_of(number), []))] += 1
    for tenant in TENANTS:
        await _balanced(resources, tenant, [one for one in known.values() if one.tenant == tenant])
    waited = sum(one.submitted_at_ms > 0 for one in known.values())
    assert waited >= PREDICTIONS // 8, "a good share had to wait for the account"
    await no_place_is_taken(resources)
    told = _told(list(known.values()), received)
    print(  # noqa: T201
        f"chaos: {len(accepted)} accepted, {waited} of them had to wait for the account and none was refused there;"
        f" {len(tasks)} paid once; {dict(ends)}; {told}"
    )


def _end(prediction: Prediction, tasks: list[dict[str, Any]]) -> str:
    """How a prediction ended, which must be how its task did, if the upstream has one."""
    if not tasks:
        assert prediction.state is State.FAILED, (prediction.id, prediction.state)
        return "failed, never there"
    assert prediction.upstream_id == tasks[0]["id"], (prediction.id, prediction.answer.get("error"))
    assert prediction.state == tasks[0]["status"], (prediction.id, prediction.state)
    return f"{prediction.state.value} by {prediction.evidence}"


async def _balanced(resources: Resources, tenant: str, predictions: list[Prediction]) -> None:
    """The books are the sum of the predictions, and no slot is held."""
    assert all(one.state in ENDED for one in predictions)
    assert await resources.reconcile.books.slots(tenant) == set()
    ledger = await resources.ledger.ledger(tenant, window_of(int(resources.clock() * 1000)).month)
    assert ledger.conserved
    assert ledger.held == 0
    assert ledger.settled == PRICE * sum(one.state is State.COMPLETED for one in predictions)
    assert await resources.reconcile() == 0, "nothing had drifted"


def _told(predictions: list[Prediction], received: list[Callback]) -> str:
    """Every end was told to its endpoint, and to the request's callback, under one id each."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for callback in received:
        said = from_json(callback.body)
        data = said["data"] if callback.path == "/endpoint" else said
        what = said["type"] if callback.path == "/endpoint" else "callback"
        ids[data["id"], what].add(callback.headers["webhook-id"])
    for prediction in predictions:
        wanted = [f"prediction.{prediction.state.value}", *(["callback"] if prediction.callback_url else [])]
        for what in wanted:
            assert len(ids[prediction.id, what]) == 1, (prediction.id, what, ids[prediction.id, what])
    assert all(len(found) == 1 for found in ids.values())
    return f"{len(ids)} things told, each under one id, {len(received) - len(ids)} of them again"
