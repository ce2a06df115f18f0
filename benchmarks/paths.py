"""The measured paths. Each gives its contestants: name → a function that runs one round."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx2
from pydantic import SecretStr
from uuid_utils import uuid7

from benchmarks.processes import SETTINGS, Bench, Figure, Measured, cpu_s, drive
from service.cli.local_system import wait_for_url
from service.domain.answers import initial_answer
from service.domain.moves import confirmed
from service.domain.predictions import Observation, Prediction, State
from service.domain.tenant_spec import LimitsSpec, TenantSpec
from service.resources import Resources, open_resources
from service.settings import Settings

ROUNDS: Final = 5
"""How often each contestant of a path is measured."""

PREDICTIONS: Final = 5_000
"""Predictions in flight while polls are measured."""

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

INPUT: Final = b'{"prompt":"a lighthouse in a storm, waves breaking on the rocks","aspect_ratio":"16:9"}'

DONE: Final = Observation("completed", "completed", {"outputs": ["https://cdn.example/1.mp4"]})
"""How a run ends upstream."""

Round = Callable[[float], Figure]


@dataclass(frozen=True, slots=True)
class MeasuredPath:
    """One measured path: what it is compared with, and the ratio to reach, or to stay under if `less_is_better`."""

    name: str
    unit: str
    baseline: str
    target: float
    contestants: dict[str, Round]
    less_is_better: bool = False


def http_request(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    """One HTTP request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


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
    )


async def running(resources: Resources, tenant: str) -> Prediction:
    """A tenant's prediction that runs upstream, made without one."""
    prediction_id, now_ms = uuid7().hex, int(time.time() * 1000)
    intent = Prediction(
        id=prediction_id,
        tenant=tenant,
        model="openai/sora-2",
        state=State.SUBMITTING,
        created_at_ms=now_ms,
        input=INPUT,
        money="held",
        answer=initial_answer(prediction_id, "openai/sora-2", now_ms),
    )
    prediction = (await resources.ledger.admit(intent, 60.0, 3600.0)).prediction
    move = resources.submit.transition
    return await move(prediction, lambda p, now: confirmed(p, f"up-{prediction_id}", now), 3_600.0)


async def new_tenant(redis_url: str, tenant_id: str = "bench", limits: LimitsSpec | None = None) -> str:
    """Create a tenant and return its key."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await resources.administer.create_tenant(tenant_id, TenantSpec(limits=limits or LimitsSpec()))
        _, key = await resources.administer.create_key(tenant_id, "bench")
    return key


def submit_and_read(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Submissions with every limit against none, and against a bare proxy; result reads against a bare route."""
    stub_port, port, proxy_port, bare_port = bench.port(), bench.port(), bench.port(), bench.port()
    bench.start("benchmarks.stub", str(stub_port), measured=False)
    settings = process_settings(redis_url, stub_port, port, bench.port())
    ours = bench.start("service", "serve", measured=True, settings=settings)
    proxy = bench.start("benchmarks.contestants", "proxy", str(proxy_port), str(stub_port), measured=True)
    bare = bench.start("benchmarks.contestants", "starlette", str(bare_port), "0", measured=True)
    for path in (f":{port}/readyz", f":{proxy_port}/", f":{bare_port}/"):
        wait_for_url(f"http://127.0.0.1{path}", lambda: None)
    key = asyncio.run(new_tenant(redis_url))
    answer = httpx2.post(
        f"http://127.0.0.1:{port}/api/v3/openai/sora-2",
        content=INPUT,
        headers={"authorization": f"Bearer {key}"},
        trust_env=False,
    )
    result_path = f"/api/v3/predictions/{answer.json()['data']['id']}/result"
    submit, read = http_request("POST", "/api/v3/openai/sora-2", key, INPUT), http_request("GET", result_path, key)
    limited = http_request(
        "POST", "/api/v3/openai/sora-2", asyncio.run(new_tenant(redis_url, "limited", EVERY_LIMIT)), INPUT
    )
    return [
        MeasuredPath(
            "limits",
            "submissions/s per core",
            "breakwater, no limits",
            0.75,
            {
                "breakwater": lambda seconds: drive(ours, port, limited, seconds),
                "breakwater, no limits": lambda seconds: drive(ours, port, submit, seconds),
            },
        ),
        MeasuredPath(
            "submit",
            "submissions/s per core",
            "bare Starlette proxy (httpx2, aiohttp transport)",
            0.6,
            {
                "breakwater": lambda seconds: drive(ours, port, submit, seconds),
                "bare Starlette proxy (httpx2, aiohttp transport)": lambda seconds: drive(
                    proxy, proxy_port, submit, seconds
                ),
            },
        ),
        MeasuredPath(
            "read",
            "result reads/s per core",
            "bare Starlette route",
            0.35,
            {
                "breakwater": lambda seconds: drive(ours, port, read, seconds),
                "bare Starlette route": lambda seconds: drive(bare, bare_port, read, seconds),
            },
        ),
    ]


async def _running_predictions(resources: Resources) -> None:
    """Put `PREDICTIONS` running ones into Redis, all due at once."""

    async def one(number: int) -> None:
        prediction_id = f"{number:032x}"
        intent = Prediction(
            id=prediction_id,
            tenant="bench",
            model="openai/sora-2",
            state=State.SUBMITTING,
            created_at_ms=int(time.time() * 1000),
            input=INPUT,
            answer=initial_answer(prediction_id, "openai/sora-2", int(time.time() * 1000)),
        )
        intent = (await resources.ledger.admit(intent, 60.0, 3600.0)).prediction
        change = confirmed(intent, f"up-{number}", int(time.time() * 1000))
        assert change is not None
        await resources.predictions.move(intent, change, next_look_s=0.0)

    for start in range(0, PREDICTIONS, 500):
        await asyncio.gather(*(one(number) for number in range(start, start + 500)))


async def _prepare_polls(redis_url: str) -> None:
    """A tenant and its running predictions."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await resources.administer.create_tenant("bench")
        await _running_predictions(resources)


def poll(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Looks at running predictions by one worker, against the same transport in a bare loop."""
    stub_port, metrics_port = bench.port(), bench.port()
    bench.start("benchmarks.stub", str(stub_port), measured=False)
    asyncio.run(_prepare_polls(redis_url))
    models = bench.directory / "models.toml"
    models.write_text(ALWAYS_DUE)
    worker = bench.start(
        "worker",
        measured=True,
        settings=process_settings(redis_url, stub_port, bench.port(), metrics_port, BREAKWATER_MODELS_FILE=str(models)),
    )
    wait_for_url(f"http://127.0.0.1:{metrics_port}/readyz", lambda: None)
    time.sleep(3)  # every prediction is `processing` by now: the steady state

    def ours(seconds: float) -> Measured:
        before, cpu, started = _looks(metrics_port), cpu_s(worker), time.monotonic()
        time.sleep(seconds)
        return Measured(_looks(metrics_port) - before, time.monotonic() - started, cpu_s(worker) - cpu)

    def bare(seconds: float) -> Measured:
        output = bench.directory / "bare_loop"
        worker.send_signal(signal.SIGSTOP)  # the core is the contestant's alone
        try:
            bench.start("benchmarks.bare_loop", str(stub_port), str(seconds), str(output), measured=True).wait()
        finally:
            worker.send_signal(signal.SIGCONT)
        done, elapsed, cpu = output.read_text().split()
        return Measured(int(done), float(elapsed), float(cpu))

    return [
        MeasuredPath(
            "poll",
            "looks/s per core",
            "same transport in a bare loop",
            0.6,
            {"breakwater": ours, "same transport in a bare loop": bare},
        )
    ]


def _looks(metrics_port: int) -> int:
    """How many looks the worker has made."""
    text = httpx2.get(f"http://127.0.0.1:{metrics_port}/metrics", trust_env=False).text
    return int(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("breakwater_looks_total")))
