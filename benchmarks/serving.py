"""The gateway's paths, each against what one would put in its place: submissions, replays, reads, and a mix of all."""

import asyncio
from dataclasses import dataclass
from subprocess import Popen
from typing import Final

import httpx2

from benchmarks.contestants import nginx
from benchmarks.ground import (
    EVERY_LIMIT,
    http_request,
    new_tenant,
    process_settings,
    start_stub,
    submission,
    wait_ready,
)
from benchmarks.measured import OURS, Figure, MeasuredPath, Round, Target, percentile
from benchmarks.processes import Bench, drive, open_loop

HTTPX2_PROXY: Final = "bare Starlette proxy (httpx2, aiohttp transport)"
AIOHTTP_PROXY: Final = "bare Starlette proxy (aiohttp)"
BARE_ROUTE: Final = "bare Starlette route"
NO_LIMITS: Final = "breakwater, no limits"
FIRST: Final = "breakwater, a first submission"
DIRECT: Final = "straight to the upstream"

ADDED_RATE: Final = 50
"""Requests a second at which the gateway's own delay is measured: a company's usual load."""

MIX: Final = {"read": 14, "submit": 2, "list": 2, "replay": 2}
"""Of 20 requests, how many are what: services poll far more often than they submit."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway of ours with a tenant, and one prediction of it."""

    process: Popen[bytes]
    port: int
    key: str
    prediction_id: str

    @property
    def read(self) -> bytes:
        """A result read."""
        return http_request("GET", f"/api/v3/predictions/{self.prediction_id}/result", self.key)

    @property
    def replay(self) -> bytes:
        """The submission that made the prediction, again."""
        return submission(self.key, _ONCE)


_ONCE: Final = "idempotency-key: 01hz-bench-replayed\r\n"


def start_gateway(bench: Bench, redis_url: str, stub_port: int, **settings: str) -> Gateway:
    """Start one on the measured core, and submit once."""
    port = bench.port()
    environment = process_settings(redis_url, stub_port, port, bench.port(), **settings)
    process = bench.start("service", "serve", measured=True, settings=environment)
    wait_ready(port)
    key = asyncio.run(new_tenant(redis_url))
    name, _, value = _ONCE.strip().partition(": ")
    answer = httpx2.post(
        f"http://127.0.0.1:{port}/api/v3/openai/sora-2",
        content=submission(key).partition(b"\r\n\r\n")[2],
        headers={"authorization": f"Bearer {key}", name: value},
        trust_env=False,
    )
    return Gateway(process, port, key, answer.json()["data"]["id"])


def start_bare(bench: Bench, name: str, stub_port: int) -> tuple[Popen[bytes], int]:
    """Start a bare application on the measured core; its process and port."""
    port = bench.port()
    process = bench.start("benchmarks.contestants", name, str(port), str(stub_port), measured=True)
    wait_ready(port, "/")
    return process, port


def submit(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Submissions: against bare proxies, nginx, and nginx that thinks; and with every limit set."""
    stub_port = start_stub(bench)
    ours = start_gateway(bench, redis_url, stub_port)
    limited = submission(asyncio.run(new_tenant(redis_url, "limited", EVERY_LIMIT)))
    request = submission(ours.key)
    contestants: dict[str, Round] = {OURS: drive(ours.process, ours.port, limited)}
    contestants[NO_LIMITS] = drive(ours.process, ours.port, request)
    for name, app in ((HTTPX2_PROXY, "httpx2"), (AIOHTTP_PROXY, "aiohttp")):
        contestants[name] = drive(*start_bare(bench, app, stub_port), request)
    contestants[nginx.PASS_THROUGH] = drive(*nginx.start(bench, stub_port), request)
    contestants[nginx.WITH_LUA] = drive(*nginx.start(bench, stub_port, bench.redis()), request)
    targets = Target(1.5, HTTPX2_PROXY), Target(0.2, nginx.WITH_LUA), Target(0.75, NO_LIMITS)
    return [MeasuredPath("submit", "submissions/s per core", HTTPX2_PROXY, contestants, targets, per_core=True)]


def read(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Result reads, against a bare route that answers a constant."""
    stub_port = start_stub(bench)
    ours = start_gateway(bench, redis_url, stub_port)
    contestants = {
        OURS: drive(ours.process, ours.port, ours.read),
        BARE_ROUTE: drive(*start_bare(bench, "starlette", 0), ours.read),
    }
    targets = (Target(0.75, BARE_ROUTE),)
    return [MeasuredPath("read", "result reads/s per core", BARE_ROUTE, contestants, targets, per_core=True)]


def replay(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """A copy of a submission with the same idempotency key, against a first submission: it must not cost more."""
    ours = start_gateway(bench, redis_url, start_stub(bench))
    contestants = {
        OURS: drive(ours.process, ours.port, ours.replay),
        FIRST: drive(ours.process, ours.port, submission(ours.key)),
    }
    return [MeasuredPath("replay", "replays/s per core", FIRST, contestants, (Target(1.0, FIRST),), per_core=True)]


def mixed(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """What services do all day: 70 % reads, and submissions, replays and lists in equal parts."""
    ours = start_gateway(bench, redis_url, start_stub(bench))
    kinds = {
        "read": ours.read,
        "submit": submission(ours.key),
        "list": http_request("GET", "/v1/predictions?limit=20", ours.key),
        "replay": ours.replay,
    }
    spread = sorted((turn / times, kind) for kind, times in MIX.items() for turn in range(times))
    requests = [kinds[kind] for _, kind in spread]
    contestants = {
        OURS: drive(ours.process, ours.port, *requests),
        f"{OURS}, nothing but lists": drive(ours.process, ours.port, kinds["list"]),
    }
    return [MeasuredPath("mixed", "requests/s per core", OURS, contestants, per_core=True)]


def added(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """How much later a submission is answered through the gateway than by the upstream itself."""
    stub_port = start_stub(bench)
    ours = start_gateway(bench, redis_url, stub_port)

    def at(port: int) -> Round:
        def run(seconds: float) -> Figure:
            late_ms = open_loop(port, [submission(ours.key)], ADDED_RATE, 2 * seconds)
            return Figure(percentile(late_ms, 0.99), also={"p50 ms": percentile(late_ms, 0.5)})

        return run

    return [
        MeasuredPath(
            "added latency",
            f"ms p99 at {ADDED_RATE} submissions/s",
            DIRECT,
            {OURS: at(ours.port), DIRECT: at(stub_port)},
            (Target(3.0, DIRECT, less=True, by="difference"),),
        )
    ]
