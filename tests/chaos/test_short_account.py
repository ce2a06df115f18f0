"""Three teams, thirty submissions, and an account that allows two a minute: everybody is served, in turn.

Gateway, worker and simulator talk over sockets, on one clock: it stands still until everything is submitted, and then
goes fast, because at this pace thirty videos take a quarter of an hour.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any, Final

import httpx2

from service.app import create_app
from service.domain.limits import window_of
from service.domain.predictions import State
from service.resources import Resources, open_resources
from simulator.state import Options
from tests.integration.http.gateway import settings
from tests.integration.life.online import serving as serving_gateway
from tests.integration.simulator.running import Running, serving
from tests.waiting import wait_until
from worker.app import Pools, build_pools
from worker.webhook_sender import WebhookSender

SPEED: Final = 80.0
"""How much faster than a real clock this one goes, once it goes."""

VIDEO_S: Final = 45.0
"""How long a video takes upstream, so that both limits matter: a place is free again after about a minute."""

SUBMISSIONS: Final = {"acme": 16, "beta": 9, "gamma": 5}
"""How much each team submits; one after the other, `acme` first."""

PRICE_MICROS: Final = 400_000


@dataclass
class HeldClock:
    """Unix seconds that stand still until `go`."""

    start_s: float = field(default_factory=time.time)
    _gone_at: float | None = None

    def go(self) -> None:
        """Let time pass, `SPEED` times as fast as it does."""
        self._gone_at = time.monotonic()

    def __call__(self) -> float:
        """Tell the time."""
        return self.start_s if self._gone_at is None else self.start_s + (time.monotonic() - self._gone_at) * SPEED


@dataclass(frozen=True)
class Service:
    """A gateway that listens, a worker that works, and the account before which they stand."""

    resources: Resources
    client: httpx2.AsyncClient
    upstream: Running
    keys: dict[str, str]

    async def submit(self, tenant: str, number: int) -> str:
        """Submit, on WaveSpeed's face or on the native one; the id, which must be given out at once."""
        headers, prompt = self._as(tenant), f"{tenant} {number}"
        if number % 2:
            native = {"model": "openai/sora-2", "input": {"prompt": prompt}}
            answer = await self.client.post("/v1/predictions", json=native, headers=headers)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])
        answer = await self.client.post("/api/v3/openai/sora-2", json={"prompt": prompt}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["status"] == "created"
        return str(answer.json()["data"]["id"])

    async def read(self, tenant: str, prediction_id: str) -> dict[str, Any]:
        """What the native face says of a prediction."""
        answer = await self.client.get(f"/v1/predictions/{prediction_id}", headers=self._as(tenant))
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def ended(self, ids: dict[str, str]) -> bool:
        """Whether every prediction has ended."""
        loaded = [await self.resources.predictions.load(one) for one in ids.values()]
        return all(one is not None and one.state.ended for one in loaded)

    def _as(self, tenant: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[tenant]}"}


async def _work(pools: Pools) -> None:
    """Do what is due, over and over, until canceled."""
    while True:
        await asyncio.gather(*(pool.fill() for pool in pools.values()))
        await asyncio.sleep(0.01)


@asynccontextmanager
async def working(resources: Resources) -> AsyncIterator[None]:
    """A worker, for the time of the block."""
    async with WebhookSender() as sender:
        pools = build_pools(resources, sender)
        work = asyncio.create_task(_work(pools))
        try:
            yield
            assert not work.done(), work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await asyncio.gather(*(pool.drain(5.0) for pool in pools.values()))


@asynccontextmanager
async def bronze(redis_url: str, clock: Callable[[], float]) -> AsyncIterator[Service]:
    """Open everything but the worker, before an account of the lowest tier."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(serving(Options(video_s=VIDEO_S, tier="bronze"), clock))
        resources = await stack.enter_async_context(
            open_resources(settings(redis_url, url, upstream_tier="bronze"), clock)
        )
        app = create_app(resources)
        await stack.enter_async_context(app.router.lifespan_context(app))
        _, port = await stack.enter_async_context(serving_gateway(app, resources.feed.end))
        client = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0, trust_env=False)
        )
        await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
        keys = {}
        for tenant in SUBMISSIONS:
            await resources.administer.create_tenant(tenant)
            keys[tenant] = (await resources.administer.create_key(tenant, "test"))[1]
        yield Service(resources, client, Running(url), keys)


def in_turn() -> list[str]:
    """The order in which the submissions are sent: the two there is room for, then one of each team in turn."""
    mine = {tenant: [f"{tenant} {number}" for number in range(count)] for tenant, count in SUBMISSIONS.items()}
    at_once, mine["acme"] = mine["acme"][:2], mine["acme"][2:]
    rounds = zip_longest(*mine.values())
    return at_once + [prompt for one_each in rounds for prompt in one_each if prompt is not None]


async def test_three_teams_share_the_smallest_account(redis_url: str) -> None:
    """30 of 30 are accepted at once and made, each paid once, in fair order; nobody ever sees a 429, nor do we."""
    clock, order = HeldClock(), in_turn()
    async with bronze(redis_url, clock) as service:
        ids = {f"{t} {n}": await service.submit(t, n) for t, count in SUBMISSIONS.items() for n in range(count)}
        await _told_their_places(service, order[2:], ids, clock())
        async with working(service.resources):
            clock.go()
            await wait_until(lambda: service.ended(ids), timeout_s=50, what="every prediction has ended")
        seen = await asyncio.to_thread(service.upstream.seen)
        assert seen["refused"] == {}, "the account's limits were never hit"
        assert seen["paid_submissions"] == len(ids) == 30
        sent = [task["input"]["prompt"] for task in seen["submissions"]]
        assert sorted(sent) == sorted(order), "each is paid once"
        # Two that are sent at the same moment may arrive in either order.
        assert all(abs(sent.index(prompt) - turn) <= 1 for turn, prompt in enumerate(order)), sent
        await _made_and_booked(service, ids, clock())


async def _told_their_places(service: Service, waiting: list[str], ids: dict[str, str], now_s: float) -> None:
    """Whoever waits is told after how many others, and about when its turn comes."""
    starts_s: list[float] = []
    for position, prompt in enumerate(waiting, 1):
        shown = await service.read(prompt.split()[0], ids[prompt])
        assert (shown["status"], shown["position"]) == ("queued", position), prompt
        starts_s.append(datetime.fromisoformat(shown["estimated_start_at"]).timestamp())
    assert starts_s == sorted(starts_s)
    assert all(start_s > now_s for start_s in starts_s)


async def _made_and_booked(service: Service, ids: dict[str, str], now_s: float) -> None:
    """Every prediction has completed, its tenant has paid for it once, and nothing is held or waits any more."""
    for prompt, prediction_id in ids.items():
        shown = await service.read(prompt.split()[0], prediction_id)
        assert shown["status"] == State.COMPLETED, (prompt, shown)
        assert "position" not in shown
    for tenant, count in SUBMISSIONS.items():
        ledger = await service.resources.ledger.ledger(tenant, window_of(int(now_s * 1000)).month)
        assert ledger.conserved
        assert (ledger.admitted, ledger.settled, ledger.held) == (count, count * PRICE_MICROS, 0)
    account = await service.resources.queue.state()
    assert account.waiting == 0
    assert next(limit.used for limit in account.limits if limit.name == "concurrency") == 0
