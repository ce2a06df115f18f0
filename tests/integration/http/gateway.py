"""The gateway in the test's own process, over ASGI: its resources, its tenant, and a client with the tenant's key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2
from pydantic import SecretStr
from starlette.applications import Starlette

from service.app import create_app
from service.domain.tenant_spec import read_spec
from service.resources import Resources, open_resources
from service.settings import Settings
from tests.integration.simulator.running import KEY, Running
from tests.series import undeclared
from tests.waiting import wait_until

PUBLIC_URL: Final = "https://videos.example"
ENCRYPTION_KEY: Final = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def settings(redis_url: str, upstream_url: str, **fields: Any) -> Settings:
    """Settings of a gateway; callbacks may go to 127.0.0.1."""
    values: dict[str, Any] = {
        "redis_url": SecretStr(redis_url),
        "upstream_url": upstream_url,
        "wavespeed_api_key": SecretStr(KEY),
        "encryption_key": (SecretStr(ENCRYPTION_KEY),),
        "public_url": PUBLIC_URL,
        "callback_allow": "127.0.0.1/32",
    }
    return Settings(**values | fields)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway with the tenant `acme`."""

    resources: Resources
    app: Starlette
    key: str
    client: httpx2.AsyncClient

    async def submit(self, prompt: str = "a wave", path: str = "openai/sora-2", **more: Any) -> httpx2.Response:
        """Submit, whatever comes."""
        return await self.client.post(f"/api/v3/{path}", json={"prompt": prompt, **more})

    async def submitted(self, prompt: str = "a wave") -> dict[str, Any]:
        """Submit; `data` of the answer, which must be a success."""
        answer = await self.submit(prompt)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def result(self, prediction_id: str) -> dict[str, Any]:
        """Read a result."""
        answer = await self.client.get(f"/api/v3/predictions/{prediction_id}/result")
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def limit(self, tenant_id: str = "acme", **limits: Any) -> None:
        """Set a tenant's limits, named as the admin API names them."""
        await self.resources.administer.put_tenant(tenant_id, read_spec({"limits": limits}))

    async def key_of(self, tenant_id: str) -> str:
        """Create another tenant; its key."""
        await self.resources.administer.create_tenant(tenant_id)
        return (await self.resources.administer.create_key(tenant_id, "test"))[1]


@asynccontextmanager
async def open_gateway(configuration: Settings, answer_within_s: float | None = None) -> AsyncIterator[Gateway]:
    """Open a gateway, ready, with its tenant."""
    async with open_resources(configuration) as resources:
        if answer_within_s is not None:
            resources = replace(resources, submit=replace(resources.submit, answer_within_s=answer_within_s))
        app = create_app(resources)
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://gateway", trust_env=False) as client,
        ):
            await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
            await resources.administer.create_tenant("acme")
            _, key = await resources.administer.create_key("acme", "test")
            client.headers["authorization"] = f"Bearer {key}"
            yield Gateway(resources, app, key, client)
    assert undeclared(resources.metrics) == []


def posts_seen(simulator: Running) -> int:
    """How many submissions reached the upstream."""
    posts: int = simulator.seen()["requests"].get("submit", 0)
    return posts
