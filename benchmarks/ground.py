"""What benchmarks stand on: tenants, predictions and settings of our own processes."""

import asyncio
import time
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from uuid_utils import uuid7

from benchmarks.processes import SETTINGS, Bench
from service.cli.local_system import wait_for_url
from service.domain.answers import initial_answer
from service.domain.moves import confirmed, observed
from service.domain.predictions import Observation, Prediction, State
from service.domain.tenant_spec import LimitsSpec, TenantSpec
from service.resources import Resources, open_resources
from service.settings import Settings

MODEL: Final = "openai/sora-2"
INPUT: Final = b'{"prompt":"a lighthouse in a storm, waves breaking on the rocks","aspect_ratio":"16:9"}'

DONE: Final = Observation("completed", "completed", {"outputs": ["https://cdn.example/1.mp4"]})
"""How a run ends upstream."""

ALWAYS_DUE: Final = """
[models."openai/sora-2"]
name = "always due"
price = { run_usd = "0.40" }
poll = { usual_s = 0.001, step_s = 0.001, max_step_s = 0.001, deadline_s = 86400 }
inputs = { type = "object" }
"""
"""A catalogue in which every prediction is due again at once: the worker is never idle, and its rate is its own."""

EVERY_LIMIT: Final = LimitsSpec(
    rate_per_minute=1_000_000,
    concurrency=1_000_000_000,
    daily=1_000_000_000,
    monthly=1_000_000_000,
    budget_usd="1000000000",
)
"""A tenant with every limit set, none of which is ever reached."""

AT_ONCE: Final = 250
"""How many predictions are made at a time: their commands go to Redis together."""

NOT_SOON_S: Final = 86_400.0
"""When a prediction is looked at that no worker is to look at while something is measured."""


def http_request(method: str, path: str, key: str, body: bytes = b"", headers: str = "") -> bytes:
    """One HTTP request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n{headers}"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def submission(key: str, headers: str = "") -> bytes:
    """The submission that is sent to every contestant."""
    return http_request("POST", f"/api/v3/{MODEL}", key, INPUT, headers)


def process_settings(redis_url: str, stub_port: int, port: int, metrics_port: int, **more: str) -> dict[str, str]:
    """The environment of our own processes."""
    return {
        "BREAKWATER_REDIS_URL": redis_url,
        "BREAKWATER_UPSTREAM_URL": f"http://127.0.0.1:{stub_port}",
        "BREAKWATER_PORT": str(port),
        "BREAKWATER_WORKER_METRICS_PORT": str(metrics_port),
        **more,
    }


def resources_settings(redis_url: str) -> Settings:
    """Settings for what the benchmark itself does in Redis."""
    return Settings(
        redis_url=SecretStr(redis_url),
        encryption_key=(SecretStr(SETTINGS["BREAKWATER_ENCRYPTION_KEY"]),),
        wavespeed_api_key=None,
        callback_allow="127.0.0.1/32",
    )


def wait_ready(port: int, path: str = "/readyz") -> None:
    """Wait until something answers there."""
    wait_for_url(f"http://127.0.0.1:{port}{path}", lambda: None)


def start_stub(bench: Bench, status: str = "processing") -> int:
    """An upstream whose runs have this status when they are looked at; its port."""
    port = bench.port()
    bench.start("benchmarks.stub", str(port), status, measured=False)
    return port


async def new_tenant(redis_url: str, tenant_id: str = "bench", limits: LimitsSpec | None = None) -> str:
    """Create a tenant and return its key."""
    async with open_resources(resources_settings(redis_url)) as resources:
        return await tenant_with(resources, tenant_id, limits=limits)


async def tenant_with(
    resources: Resources,
    tenant_id: str,
    urls: list[str] | None = None,
    limits: LimitsSpec | None = None,
) -> str:
    """Create a tenant with endpoints at these addresses that hear of completions; its key."""
    tenant = await resources.administer.create_tenant(tenant_id, TenantSpec(limits=limits or LimitsSpec()))
    for url in urls or []:
        await resources.register_endpoint(tenant, url, ["prediction.completed"])
    _, key = await resources.administer.create_key(tenant_id, "bench")
    return key


def intent(tenant: str) -> Prediction:
    """A prediction as it is admitted."""
    prediction_id, now_ms = uuid7().hex, int(time.time() * 1000)
    return Prediction(
        id=prediction_id,
        tenant=tenant,
        model=MODEL,
        state=State.SUBMITTING,
        created_at_ms=now_ms,
        input=INPUT,
        money="held",
        answer=initial_answer(prediction_id, MODEL, now_ms),
    )


async def running(resources: Resources, tenant: str, next_look_s: float = NOT_SOON_S) -> Prediction:
    """A tenant's prediction that runs upstream, made without one."""
    admitted = (await resources.ledger.admit(intent(tenant), 60.0, 3600.0)).prediction
    move = resources.submit.transition
    return await move(admitted, lambda p, now: confirmed(p, f"up-{p.id}", now), next_look_s)


async def ended(resources: Resources, tenant: str) -> Prediction:
    """A tenant's prediction that has completed."""
    return await resources.submit.transition(await running(resources, tenant), lambda p, now: observed(p, DONE, now))


async def many_running(
    resources: Resources, tenant: str, count: int, next_look_s: float = NOT_SOON_S
) -> list[Prediction]:
    """So many that run."""
    made: list[Prediction] = []
    while len(made) < count:
        batch = min(AT_ONCE, count - len(made))
        made += await asyncio.gather(*(running(resources, tenant, next_look_s) for _ in range(batch)))
    return made


async def many_ended(resources: Resources, tenant: str, count: int) -> None:
    """So many that have completed."""
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(ended(resources, tenant) for _ in range(min(AT_ONCE, count - start))))


def write_catalogue(directory: Path, toml: str = ALWAYS_DUE) -> str:
    """Write a catalogue file; its path."""
    path = directory / "models.toml"
    path.write_text(toml)
    return str(path)
