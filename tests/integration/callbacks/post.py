"""A gateway and a worker that only delivers, in the test's own process, before a real receiver, on a clock it moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from uuid_utils import uuid7

from service.app import create_app
from service.domain.answers import initial_answer
from service.domain.moves import confirmed, observed
from service.domain.predictions import Observation, Prediction, State
from service.resources import Resources, open_resources
from tests.integration.http.gateway import settings
from tests.integration.simulator.running import Clock
from tests.journeys.system import Receiver
from tests.series import undeclared
from tests.waiting import wait_until
from worker.app import build_pools
from worker.webhook_sender import WebhookSender

ADMIN_TOKEN: Final = "an-operators-token"
LEASE_S: Final = 25.0


@dataclass(frozen=True, slots=True)
class Post:
    """Everything from an end to a callback; the worker delivers when told to."""

    resources: Resources
    clock: Clock
    client: httpx2.AsyncClient
    receiver: Receiver
    sender: WebhookSender

    async def key_of(self, tenant: str) -> dict[str, str]:
        """Create a tenant; the headers that speak for it."""
        await self.resources.administer.create_tenant(tenant)
        _, key = await self.resources.administer.create_key(tenant, "test")
        return {"authorization": f"Bearer {key}"}

    async def register(self, path: str = "hook", **fields: Any) -> dict[str, Any]:
        """Register an endpoint at the receiver; the answer, with its secret."""
        answer = await self.client.post("/v1/endpoints", json={"url": f"{self.receiver.url}/{path}", **fields})
        assert answer.status_code == 201, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def end(self, tenant: str = "acme", *, processing: bool = False, callback: str = "") -> str:
        """Have a prediction of a tenant complete; its id."""
        prediction_id, now_ms = uuid7().hex, int(self.clock() * 1000)
        intent = Prediction(
            id=prediction_id,
            tenant=tenant,
            model="openai/sora-2",
            state=State.SUBMITTING,
            created_at_ms=now_ms,
            input=b'{"prompt":"a wave"}',
            callback_url=f"{self.receiver.url}/{callback}" if callback else "",
            money="held",
            answer=initial_answer(prediction_id, "openai/sora-2", now_ms),
        )
        prediction = (await self.resources.ledger.admit(intent, 70.0, 3600.0)).prediction
        move = self.resources.submit.transition
        prediction = await move(prediction, lambda p, now: confirmed(p, f"up-{prediction_id}", now))
        if processing:
            seen = Observation("running", "processing", {})
            prediction = await move(prediction, lambda p, now: observed(p, seen, now))
        done = Observation("completed", "completed", {"outputs": ["https://cdn.example/1.mp4"]})
        await move(prediction, lambda p, now: observed(p, done, now))
        return prediction_id

    async def deliver(self) -> int:
        """Make every attempt that is due now, also those that follow from one another; how many."""
        handle = build_pools(self.resources, self.sender)["deliver"]._handle
        made = 0
        while True:
            leased = await self.resources.schedule.lease("deliver", 100, LEASE_S)
            if not leased.ids:
                return made
            await asyncio.gather(*(handle(one, leased.token) for one in leased.ids))
            made += len(leased.ids)

    async def pass_time(self, seconds: float, step_s: float = 60.0) -> int:
        """Let time pass, with the worker at work; how many attempts it made."""
        made, end_s = 0, self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s = min(end_s, self.clock.now_s + step_s)
            made += await self.deliver()
        return made

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read something as the tenant."""
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        """The tenant's deliveries, newest first."""
        found: list[dict[str, Any]] = (await self.get("/v1/deliveries", **query))["data"]
        return found

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value, 0 when nothing was counted."""
        return self.resources.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def open_post(redis_url: str, **fields: Any) -> AsyncIterator[Post]:
    """Open everything, with the tenant `acme`; fields are settings."""
    clock = Clock()
    configuration = settings(redis_url, "http://127.0.0.1:9", **{"public_url": "http://gateway", **fields})
    async with (
        open_resources(configuration, clock) as resources,
        Receiver().running() as receiver,
        WebhookSender() as sender,
    ):
        app = create_app(resources)
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://gateway", trust_env=False) as client,
        ):
            await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
            post = Post(resources, clock, client, receiver, sender)
            client.headers.update(await post.key_of("acme"))
            yield post
    assert undeclared(resources.metrics) == []
