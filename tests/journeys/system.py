"""The whole system over real sockets: gateway, worker and simulator as processes, the receiver inside the test."""

import asyncio
import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.cli.local_system import LocalProcess, LocalSystem, port_is_free, wait_for_url
from service.domain.tenant_spec import TenantSpec
from service.resources import Resources, open_resources
from service.server import Server, bind
from service.settings import Settings
from tests.waiting import wait_until

SECRET_KEY: Final = "sk-the-secret-upstream-key"
VIDEO_S: Final = 0.6
"""How long a simulated video takes."""

_POLL_SCALE: Final = "0.01"
_RETRY_SCALE: Final = "0.01"


_FIRST: Final = int(os.environ.get("TEST_PORTS", "20000")) + 800 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_PORTS: Final = cycle(range(_FIRST, 32_000))
"""Ports of this test process: below those the system gives to connections, and apart from the other processes'. Runs
beside one another are told where theirs begin."""


def free_port() -> int:
    """A port nobody listens on, and that nobody else will take before it is used."""
    return next(port for port in _PORTS if port_is_free(port))


@dataclass(slots=True)
class Callback:
    """One request the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """A callback receiver on a port of its own; `answer` decides what it says to each request."""

    port: int = field(default_factory=free_port)
    received: list[Callback] = field(default_factory=list)
    answer: Callable[[Callback], int] = lambda _: 204

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Receiver"]:
        """Listen for the time of the block."""

        async def receive(request: Request) -> Response:
            callback = Callback(request.url.path, dict(request.headers), await request.body())
            self.received.append(callback)
            status = self.answer(callback)
            return Response("no" if status >= 400 else None, status)

        server = Server(Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])]), drain_s=1.0)
        serving = asyncio.create_task(server.serve(sockets=[bind("127.0.0.1", self.port)]))
        await wait_until(lambda: server.started, what="the receiver listens")
        try:
            yield self
        finally:
            server.stop()
            await serving


class System:
    """Starts and kills the processes of one system; `client` speaks to the gateway with the tenant's key."""

    def __init__(self, directory: Path, redis_url: str, **settings: str) -> None:
        self.redis_url = redis_url
        self.gateway_port, self.worker_port, self.simulator_port = free_port(), free_port(), free_port()
        self.gateway_url = f"http://127.0.0.1:{self.gateway_port}"
        self.simulator_url = f"http://127.0.0.1:{self.simulator_port}"
        self.environment = {
            "BREAKWATER_REDIS_URL": redis_url,
            "BREAKWATER_UPSTREAM_URL": self.simulator_url,
            "WAVESPEED_API_KEY": SECRET_KEY,
            "BREAKWATER_PORT": str(self.gateway_port),
            "BREAKWATER_WORKER_METRICS_PORT": str(self.worker_port),
            "BREAKWATER_ENCRYPTION_KEY": urlsafe_b64encode(b"k" * 32).decode(),
            "BREAKWATER_CALLBACK_ALLOW": "127.0.0.1/32",
            "BREAKWATER_POLL_SCALE": _POLL_SCALE,
            "BREAKWATER_RETRY_SCALE": _RETRY_SCALE,
            "BREAKWATER_SHUTDOWN_GRACE_S": "0",
            "BREAKWATER_DRAIN_S": "15",
            "BREAKWATER_UPSTREAM_READS_PER_S": "10000",
            **settings,
        }
        self._processes = LocalSystem(directory)
        self._stack = AsyncExitStack()
        self.client = httpx2.AsyncClient(base_url=self.gateway_url, timeout=20.0, trust_env=False)
        self.upstream = httpx2.AsyncClient(base_url=self.simulator_url, timeout=20.0, trust_env=False)
        self.key = ""

    async def __aenter__(self) -> "System":
        self._stack.enter_context(self._processes)
        await self._stack.enter_async_context(self.client)
        await self._stack.enter_async_context(self.upstream)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self, name: str, module: str, arguments: list[str], url: str, **settings: str) -> LocalProcess:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAKWATER_", "WAVESPEED_"))}
        process = self._processes.start(name, module, arguments, {**clean, **self.environment, **settings})
        await asyncio.to_thread(wait_for_url, url, process.check)
        return process

    async def start_simulator(self, *arguments: str) -> LocalProcess:
        """Start the WaveSpeed double, which accepts only our secret key."""
        options = ["--port", str(self.simulator_port), "--key", SECRET_KEY, "--video-s", str(VIDEO_S), *arguments]
        return await self._start("simulator", "simulator", options, f"{self.simulator_url}/_control/state")

    async def start_gateway(self, probe: str = "readyz", *options: str) -> LocalProcess:
        """Start the gateway and wait for a probe."""
        return await self._start("gateway", "service", ["serve", *options], f"{self.gateway_url}/{probe}")

    async def start_another_gateway(self, port: int, probe: str = "readyz") -> LocalProcess:
        """Start one more gateway beside the first."""
        url = f"http://127.0.0.1:{port}/{probe}"
        return await self._start(f"gateway-{port}", "service", ["serve"], url, BREAKWATER_PORT=str(port))

    async def start_worker(self, probe: str = "readyz", **settings: str) -> LocalProcess:
        """Start a worker and wait for a probe."""
        return await self._start("worker", "worker", [], f"http://127.0.0.1:{self.worker_port}/{probe}", **settings)

    async def metric(self, url: str, series: str) -> float:
        """One series of the metrics at `url`, by its name and labels as they are written; 0 when there is none."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{url}/metrics")).text
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(series)), 0.0)

    async def worker_metric(self, series: str) -> float:
        """One series of the worker's metrics."""
        return await self.metric(f"http://127.0.0.1:{self.worker_port}", series)

    async def start_another_worker(self, port: int) -> LocalProcess:
        """Start one more worker, with its metrics on `port`."""
        url = f"http://127.0.0.1:{port}/livez"
        return await self._start(f"worker-{port}", "worker", [], url, BREAKWATER_WORKER_METRICS_PORT=str(port))

    def kill(self, process: LocalProcess) -> None:
        """SIGKILL: no goodbye."""
        process.process.kill()
        process.process.wait()
        self._processes.stop(process)

    def stop(self, process: LocalProcess) -> int:
        """SIGTERM, and the exit status after the drain."""
        self._processes.stop(process)
        return process.process.returncode

    @asynccontextmanager
    async def resources(self) -> AsyncIterator[Resources]:
        """The same resources the processes use, opened in the test, for what operators do."""
        names = {name.removeprefix("BREAKWATER_").lower(): value for name, value in self.environment.items()}
        async with open_resources(Settings(**names)) as resources:  # type: ignore[arg-type] # as the environment would
            yield resources

    async def create_tenant(self, tenant_id: str = "acme", spec: TenantSpec | None = None) -> str:
        """Create a tenant and give it a key; the first one becomes `client`'s."""
        async with self.resources() as resources:
            await resources.administer.create_tenant(tenant_id, spec)
            _, key = await resources.administer.create_key(tenant_id, "test")
        if not self.key:
            self.key = key
            self.client.headers["authorization"] = f"Bearer {key}"
        return key

    async def start(self, *, worker: bool = True) -> None:
        """Start everything (without a worker where none is needed) and create the tenant `acme`."""
        await asyncio.gather(self.start_simulator(), self.start_gateway(), *([self.start_worker()] if worker else []))
        await self.create_tenant()

    async def submit(self, prompt: str, **query: str) -> dict[str, Any]:
        """Submit and return `data` of the answer, which must be a success."""
        answer = await self.client.post("/api/v3/openai/sora-2", json={"prompt": prompt}, params=query)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def result(self, prediction_id: str) -> dict[str, Any]:
        """Read a result as every client does."""
        answer = await self.client.get(f"/api/v3/predictions/{prediction_id}/result")
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def ended(self, prediction_id: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Wait for a final status, asserting that no read on the way fails."""
        data: dict[str, Any] = {}

        async def has_ended() -> bool:
            data.update(await self.result(prediction_id))
            return data["status"] in ("completed", "failed")

        await wait_until(has_ended, timeout_s=timeout_s, what=f"prediction {prediction_id} ends")
        return data

    async def seen_upstream(self) -> dict[str, Any]:
        """What the simulator saw."""
        state: dict[str, Any] = (await self.upstream.get("/_control/state")).json()
        return state
