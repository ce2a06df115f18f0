"""Several gateways on one port, seen from outside: whom they are, whom each request went to, and what they measured."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from pydantic_core import from_json

from service.cli.local_system import LocalProcess
from tests.journeys.system import System
from tests.waiting import wait_until

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""What a scrape shows: name and labels of each series, and its value."""


def lines(gateway: LocalProcess, event: str) -> list[dict[str, Any]]:
    """What was logged of one kind, oldest first; a line being written is left out."""
    whole = gateway.log_file.read_bytes().splitlines(keepends=True)
    logged = [from_json(line) for line in whole if line.startswith(b"{") and line.endswith(b"\n")]
    return [line for line in logged if line["event"] == event]


def pids(gateway: LocalProcess) -> dict[int, int]:
    """Place → pid of whoever was started there last."""
    return {line["place"]: line["pid"] for line in lines(gateway, "gateway started")}


def listening(gateway: LocalProcess) -> Counter[str]:
    """How often each place has begun to listen."""
    return Counter(line["process"] for line in lines(gateway, "gateway listening"))


def runs(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def directories(root: Path) -> list[Path]:
    """Directories of shared metrics below what is temporary to the gateway."""
    return list(root.glob("breakwater-metrics-*"))


async def ask(url: str, path: str, **options: Any) -> httpx2.Response:
    """One request on a connection of its own: whoever is free takes it."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=20.0) as client:
        return await client.get(path, **options)


async def scrape(url: str) -> Series:
    """All series, from whoever answers."""
    answer = await ask(url, "/metrics")
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def requests_of(series: Series, route: str) -> float:
    """How many requests of a route were counted."""
    name = "breakwater_http_requests_total"
    return sum(value for (found, labels), value in series.items() if found == name and ("route", route) in labels)


async def at_once(count: int, url: str, path: str, **options: Any) -> list[httpx2.Response]:
    """Many requests on as many connections."""
    return await asyncio.gather(*(ask(url, path, **options) for _ in range(count)))


async def shows_streams(url: str, count: int) -> bool:
    """Whether so many streams are shown as open, by whoever answers."""
    return (await scrape(url))["breakwater_streams_open", ()] == count


async def start_two(system: System) -> LocalProcess:
    """Start two gateways, both of which listen."""
    gateway = await system.start_gateway("readyz", "--workers", "2")
    await wait_until(lambda: len(listening(gateway)) == 2, what="both listen")
    return gateway
