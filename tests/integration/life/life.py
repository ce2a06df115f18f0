"""A gateway and a worker in the test's own process, before a real simulator, on one clock that only the test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2
from pydantic import SecretStr

from service.app import create_app
from service.domain.errors import AlreadyExists
from service.domain.limits import Ledger, window_of
from service.domain.predictions import Prediction
from service.domain.tenants import Tenant
from service.resources import Resources, open_resources
from service.stores.keys import DueSet
from service.upstream.client import SUBMIT_OVER_S
from service.usecases.submit import ANSWER_WITHIN_S
from tests.integration.http.gateway import Gateway, settings
from tests.integration.simulator.running import Clock, Running
from tests.owed import owed_deliveries
from tests.series import undeclared
from tests.waiting import wait_until

SIGNING_KEY: Final = "signs-our-ids-in-urls"
PUBLIC_URL: Final = "http://gateway"
PRICE_MICROS: Final = 400_000


@dataclass(frozen=True, slots=True)
class Life:
    """Both processes' use cases; the worker works when told to."""

    gateway: Gateway
    simulator: Running
    clock: Clock

    @property
    def resources(self) -> Resources:
        """What both are built from."""
        return self.gateway.resources

    async def submit(self, prompt: str = "a wave", tenant_key: str = "") -> str:
        """Submit; the id."""
        headers = {"authorization": f"Bearer {tenant_key}"} if tenant_key else None
        answer = await self.gateway.client.post("/api/v3/openai/sora-2", json={"prompt": prompt}, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["id"])

    async def load(self, prediction_id: str) -> Prediction:
        """The record."""
        prediction = await self.resources.predictions.load(prediction_id)
        assert prediction is not None
        return prediction

    async def tenant(self, tenant_id: str = "acme") -> Tenant:
        """The tenant as it stands."""
        return await self.resources.tenants.get(tenant_id)

    async def native(self, prediction_id: str) -> dict[str, Any]:
        """What the native face answers."""
        answer = await self.gateway.client.get(f"/v1/predictions/{prediction_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def work(self, due_set: DueSet = "poll") -> list[str]:
        """Work on all that is due now, once; what each look came to."""
        handle = self.resources.look if due_set == "poll" else self.resources.retain
        results: list[str] = []
        leased = await self.resources.schedule.lease(due_set, 1_000, 20.0)
        for item in leased.handed_out():
            results.append(await handle(*item))
        return results

    async def send(self) -> int:
        """Send what waits and for which there is capacity now; how many were taken out."""
        leased = await self.resources.queue.lease(1_000)
        for item in leased.ids:
            await self.resources.submit_queued(item, leased.token)
        return len(leased.ids)

    async def pass_time(self, seconds: float, step_s: float = 5.0) -> list[str]:
        """Let time pass, with the worker at work; what the looks came to."""
        results = []
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s = min(end_s, self.clock.now_s + step_s)
            results += await self.work()
        return results

    async def until_searchable(self) -> list[str]:
        """Let so much time pass that an unconfirmed submission may be found in the list."""
        return await self.pass_time(SUBMIT_OVER_S + 15.0)

    async def ledger(self, tenant: str = "acme") -> Ledger:
        """The tenant's money of this month; conserved at every moment."""
        ledger = await self.resources.ledger.ledger(tenant, window_of(int(self.clock() * 1000)).month)
        assert ledger.conserved
        return ledger

    async def owed(self) -> set[str]:
        """Events owed to addresses, by type."""
        owed = await owed_deliveries(self.resources.commands)
        deliveries = [await self.resources.deliveries.load(one) for one in owed]
        return {delivery.event for delivery in deliveries if delivery is not None}

    async def register(self) -> None:
        """Register an endpoint that gets every event."""
        answer = await self.gateway.client.post("/v1/endpoints", json={"url": "http://127.0.0.1:9/hook"})
        assert answer.status_code == 201, answer.text

    async def cancel(self, prediction_id: str, status: int = 200) -> dict[str, Any]:
        """Cancel; the answer."""
        answer = await self.gateway.client.post(f"/v1/predictions/{prediction_id}/cancel")
        assert answer.status_code == status, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value, 0 when nothing was counted."""
        return self.resources.metrics.registry.get_sample_value(name, labels) or 0.0

    def paid(self) -> int:
        """How many submissions the upstream was paid for."""
        paid: int = self.simulator.seen()["paid_submissions"]
        return paid

    def finish(self, **what: Any) -> None:
        """End runs upstream."""
        self.simulator.control("POST", "finish", **what)


@asynccontextmanager
async def open_life(
    redis_url: str, simulator: Running, answer_within_s: float = ANSWER_WITHIN_S, **fields: Any
) -> AsyncIterator[Life]:
    """Open both, with the tenant `acme`; fields are settings.

    A test in which the upstream is slow passes a short `answer_within_s`. In all others it is too long to pass on a
    busy machine: what the upstream answered is written when `submit` returns.
    """
    clock = simulator.clock
    configuration = settings(redis_url, simulator.url, **{"public_url": PUBLIC_URL, **fields})
    async with open_resources(configuration, clock) as resources:
        resources = replace(resources, submit=replace(resources.submit, answer_within_s=answer_within_s))
        app = create_app(resources)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=PUBLIC_URL, trust_env=False) as client,
        ):
            await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
            with suppress(AlreadyExists):  # another gateway was there before
                await resources.administer.create_tenant("acme")
            _, key = await resources.administer.create_key("acme", "test")
            client.headers["authorization"] = f"Bearer {key}"
            yield Life(Gateway(resources, app, key, client), simulator, clock)
    assert undeclared(resources.metrics) == []


def with_callbacks(**fields: Any) -> dict[str, Any]:
    """Settings of a gateway that WaveSpeed calls back."""
    return {"upstream_webhooks": "on", "signing_key": (SecretStr(SIGNING_KEY),), **fields}
