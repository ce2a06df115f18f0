"""Everything a dashboard can show, made to happen within seconds: two teams, all ends, receivers of every kind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2

from service.domain.tenant_spec import LimitsSpec, TenantSpec
from tests.journeys.system import Callback, Receiver, System, free_port
from tests.waiting import wait_until

MODEL: Final = "openai/sora-2"
PNG: Final = b"\x89PNG\r\n\x1a\n" + b"\x00" * 32

SETTINGS: Final = {
    "BREAKWATER_UPSTREAM_CONCURRENCY": "2",
    "BREAKWATER_UPSTREAM_PER_MINUTE": "600",
    "BREAKWATER_SIGNING_KEY": "signs-our-ids-in-urls",
    "BREAKWATER_UPSTREAM_BALANCE_LOW_USD": "2000",
    "BREAKWATER_MAX_WAIT_S": "5",
}
"""A small account whose balance counts as low: so submissions wait, and there is something to say of money."""


def answer(callback: Callback) -> int:
    """What the receiver says, by the path it is called at."""
    if callback.path == "/gone":
        return 410
    return 204


async def _register(client: httpx2.AsyncClient, url: str) -> None:
    """Register an endpoint for every event."""
    answered = await client.post("/v1/endpoints", json={"url": url})
    assert answered.status_code == 201, answered.text


async def _submit(client: httpx2.AsyncClient, prompt: str, expected: int = 202, **headers: str) -> dict[str, Any]:
    """Submit on our own face."""
    body = {"model": MODEL, "input": {"prompt": prompt}}
    answered = await client.post("/v1/predictions", json=body, headers=headers)
    assert answered.status_code == expected, answered.text
    shown: dict[str, Any] = answered.json()
    return shown


async def _ended(client: httpx2.AsyncClient, prediction: dict[str, Any]) -> str:
    """Wait for an end, which is told."""
    state = ""

    async def has_ended() -> bool:
        nonlocal state
        state = (await client.get(f"/v1/predictions/{prediction['id']}")).json()["status"]
        return state in ("completed", "failed", "canceled", "expired")

    await wait_until(has_ended, timeout_s=30.0, what="a prediction ends")
    return state


@asynccontextmanager
async def clients(system: System) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    """Two teams: one with room and limits that are seen, one whose budget is for a single video."""
    roomy = LimitsSpec(rate_per_minute=600, concurrency=50, daily=60, budget_usd="100.00")
    poor = LimitsSpec(rate_per_minute=600, budget_usd="0.50")
    await system.create_tenant("acme", TenantSpec(limits=roomy))
    other = await system.create_tenant("zenith", TenantSpec(limits=poor))
    headers = {"authorization": f"Bearer {other}"}
    async with httpx2.AsyncClient(
        base_url=system.gateway_url, headers=headers, timeout=20.0, trust_env=False
    ) as zenith:
        yield system.client, zenith


async def exercise(system: System, acme: httpx2.AsyncClient, zenith: httpx2.AsyncClient, receiver: Receiver) -> None:
    """One round of it. What waits for the account waits for some seconds."""
    running = [await _submit(acme, f"a wave {number} [sim:duration=1.5]") for number in range(4)]
    canceled = await _submit(acme, "a calm sea [sim:stuck]")
    failing = await _submit(acme, "a storm [sim:fail] [sim:poll=500x2]")
    bought = await _submit(zenith, "one video")
    await _submit(zenith, "another one", 402)
    refused = await acme.post(f"/api/v3/{MODEL}", json={"prompt": "[sim:submit=422]"})
    assert refused.status_code in (200, 422), refused.text
    assert (await acme.post(f"/v1/predictions/{canceled['id']}/cancel")).status_code == 200
    states = await asyncio.gather(*(_ended(acme, prediction) for prediction in [*running, failing]))
    assert states == ["completed"] * 4 + ["failed"]
    assert await _ended(zenith, bought) == "completed"
    held = await _submit(acme, "a held one", prefer="wait=5")
    assert held["status"] == "completed"
    await system.submit("in the other form", webhook=f"{receiver.url}/callbacks")
    await _read_and_err(system, acme, bought["id"])


async def _read_and_err(system: System, acme: httpx2.AsyncClient, foreign: str) -> None:
    """Reads, an upload, a stream, and what is answered with an error."""
    assert (await acme.get(f"/v1/predictions/{foreign}")).status_code == 404
    assert (await acme.get("/v1/quota", headers={"authorization": "Bearer nonsense"})).status_code == 401
    assert (await acme.get("/v1/quota")).status_code == 200
    listed = (await acme.get("/v1/predictions")).json()["data"]
    assert (await acme.get(f"/v1/predictions/{listed[0]['id']}/events")).status_code == 200
    upload = await acme.post("/api/v3/media/upload/binary", files={"file": ("a.png", PNG, "image/png")})
    assert upload.status_code == 200, upload.text
    forged = await acme.post("/callbacks/wavespeed/forged", json={})
    assert forged.status_code in (400, 401, 403, 404), forged.text


async def register_receivers(acme: httpx2.AsyncClient, receiver: Receiver) -> None:
    """A receiver that takes everything, one that wants no more, and one that is not there."""
    receiver.answer = answer
    await _register(acme, f"{receiver.url}/callbacks")
    await _register(acme, f"{receiver.url}/gone")
    await _register(acme, f"http://127.0.0.1:{free_port()}/nobody")
