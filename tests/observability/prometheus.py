"""A real Prometheus: it scrapes what it is told to, by the project's own rules, and is asked over HTTP."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from tests.journeys.system import free_port
from tests.waiting import wait_until
from tests.watched import RULES

EVERY: Final = "1s"
"""How often it scrapes, and evaluates the rules: windows of minutes are filled with seconds."""


def tool(name: str) -> str:
    """A program of Debian's `prometheus`. A missing one fails the test: nothing is passed over."""
    found = shutil.which(name)
    assert found, f"{name} is not installed: apt-get install prometheus"
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    client: httpx2.AsyncClient

    async def get(self, path: str, **query: str) -> Any:
        """`data` of an answer that must be a success."""
        answer = await self.client.get(f"/api/v1/{path}", params=query)
        body = answer.json()
        assert body["status"] == "success", f"{query}: {body.get('error')}"
        return body["data"]

    async def values(self, expr: str, span_s: float = 0.0) -> list[float]:
        """Every number a query answers with: at this moment, or over the span of time before it."""
        if not span_s:
            data = await self.get("query", query=expr)
            return [float(series["value"][1]) for series in data["result"]]
        now = float((await self.get("query", query="time()"))["result"][0])
        data = await self.get("query_range", query=expr, start=str(now - span_s), end=str(now), step="1")
        return [float(value) for series in data["result"] for _, value in series["values"]]


def _written(directory: Path, targets: Mapping[str, int]) -> Path:
    """Its configuration: each job's one target, and the rules, evaluated far more often than they ask for."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        group["interval"] = EVERY
    (directory / "rules.yml").write_text(yaml.safe_dump(rules))
    config = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(directory / "rules.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in targets.items()
        ],
    }
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@asynccontextmanager
async def running(directory: Path, targets: Mapping[str, int]) -> AsyncIterator[Prometheus]:
    """Scrape ports of this machine, by job, for the time of the block."""
    port = free_port()
    process = subprocess.Popen(  # noqa: ASYNC220 it starts at once
        [
            tool("prometheus"),
            f"--config.file={_written(directory, targets)}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
        stdout=sys.stderr,
        stderr=sys.stderr,
    )
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20.0) as client:

            async def ready() -> bool:
                assert process.poll() is None, "Prometheus has ended"
                try:
                    return (await client.get("/-/ready")).status_code == 200
                except httpx2.TransportError:
                    return False

            await wait_until(ready, timeout_s=20.0, what="Prometheus is ready")
            yield Prometheus(client)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)
