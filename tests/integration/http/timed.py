"""A gateway on a clock that only the test moves, its operator, and submissions on either face."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import httpx2
from pydantic import SecretStr
from redis.asyncio import Redis

from service.app import create_app
from service.domain.moves import observed
from service.domain.predictions import Observation, Prediction
from service.resources import open_resources
from service.settings import Settings
from tests.integration.http.gateway import Gateway, settings
from tests.integration.simulator.running import MODEL, Running
from tests.integration.stores.stack import Clock
from tests.waiting import wait_until

Face = Literal["wavespeed", "native"]
FACES: Final[tuple[Face, ...]] = ("wavespeed", "native")
ADMIN_TOKEN: Final = "operators-only-6f1c"
PRICE_USD: Final = "0.40"
"""What a submission of `MODEL` costs that asks for nothing special."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A gateway with the tenant `acme`; its limits and its answers go by `clock`, which begins at 2027-01-15 08:00."""

    gateway: Gateway
    clock: Clock
    operator: httpx2.AsyncClient

    async def post(
        self, face: Face, prompt: str = "a wave", *, idempotency_key: str = "", key: str = "", **inputs: Any
    ) -> httpx2.Response:
        """Submit on a face, with the key of `acme` or another, whatever comes."""
        headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
        if key:
            headers["authorization"] = f"Bearer {key}"
        body: dict[str, Any] = {"prompt": prompt, **inputs}
        if face == "wavespeed":
            return await self.gateway.client.post(f"/api/v3/{MODEL}", json=body, headers=headers)
        return await self.gateway.client.post("/v1/predictions", json={"model": MODEL, "input": body}, headers=headers)

    async def accepted(self, face: Face = "wavespeed", prompt: str = "a wave", **more: Any) -> httpx2.Response:
        """Submit on a face; it must be accepted."""
        answer = await self.post(face, prompt, **more)
        assert answer.status_code == success(face), answer.text
        return answer

    async def end(self, prediction_id: str, status: Literal["completed", "failed"] = "completed") -> Prediction:
        """End a prediction as if the upstream had been seen to."""
        before = await self.gateway.resources.predictions.load(prediction_id)
        assert before is not None
        seen = Observation(
            status, status, {"outputs": ["https://cdn.example/1.mp4"]}, "" if status == "completed" else "no"
        )
        after = await self.gateway.resources.submit.transition(before, lambda p, now: observed(p, seen, now))
        assert after.state.value == status
        return after

    def decisions(self, limit: str, tenant: str = "acme") -> dict[str, float]:
        """How often each decision was counted for a limit."""
        registry = self.gateway.resources.metrics.registry
        names = ("ok", "near", "refused", "shadow")
        labels = [{"tenant": tenant, "limit": limit, "decision": name} for name in names]
        values = [registry.get_sample_value("breakwater_quota_decisions_total", each) for each in labels]
        return {name: value for name, value in zip(names, values, strict=True) if value}


def success(face: Face) -> int:
    """The status of an accepted submission."""
    return 200 if face == "wavespeed" else 202


def id_of(face: Face, answer: httpx2.Response) -> str:
    """The prediction that an accepted submission became."""
    body = answer.json()
    return str(body["data"]["id"] if face == "wavespeed" else body["id"])


def told(face: Face, answer: httpx2.Response, status: int) -> str:
    """What a refusal says, which must be in the form of its face and of that status."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    if face == "wavespeed":
        assert answer.headers["content-type"] == "application/json"
        assert set(body) == {"code", "message"}
        assert body["code"] == status
        return str(body["message"])
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    return str(body["detail"])


async def contents(redis: Redis) -> dict[bytes, Any]:
    """Everything of ours that Redis holds, by key; wake-ups, which are sent in their own time, are arq's."""
    reads: dict[bytes, Callable[[Any], Any]] = {
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"string": redis.get,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    return {key: await reads[await redis.type(key)](key) async for key in redis.scan_iter("bw:*", count=1000)}


@asynccontextmanager
async def open_timed(redis_url: str, simulator: Running, answer_within_s: float | None = None) -> AsyncIterator[Timed]:
    """Open a gateway before the simulator, ready, with its tenant and an operator."""
    configuration: Settings = settings(redis_url, simulator.url, admin_token=SecretStr(ADMIN_TOKEN))
    clock = Clock()
    async with open_resources(configuration, clock.s) as resources:
        if answer_within_s is not None:
            resources = replace(resources, submit=replace(resources.submit, answer_within_s=answer_within_s))
        app = create_app(resources)
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://gateway", trust_env=False) as client,
            httpx2.AsyncClient(transport=transport, base_url="http://gateway", trust_env=False) as operator,
        ):
            await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
            await resources.administer.create_tenant("acme")
            _, key = await resources.administer.create_key("acme", "test")
            client.headers["authorization"] = f"Bearer {key}"
            operator.headers["authorization"] = f"Bearer {ADMIN_TOKEN}"
            yield Timed(Gateway(resources, app, key, client), clock, operator)
