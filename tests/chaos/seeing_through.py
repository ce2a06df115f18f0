"""Clients that see one video after another through, and write down everything that failed."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from tests.journeys.system import System

PAUSE_S: Final = (0.05, 0.4)
"""A client's pause between two requests: shorter than a grace, so that each kept connection is told of its end."""


@dataclass(slots=True)
class Tally:
    """What the clients saw."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Client:
    """One service that submits, reads until the video is there, and submits again. It sends nothing twice."""

    http: httpx2.AsyncClient
    tally: Tally
    chance: random.Random

    async def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Send one request; `data` of its answer, empty when it failed, which is written down."""
        self.tally.requests += 1
        try:
            answer = await self.http.request(method, path, **more)
        except httpx2.TransportError as broken:
            self.tally.failed.append(f"{method} {path}: {broken!r}")
            return {}
        if answer.status_code != 200:
            self.tally.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return {}
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def _see_through(self, prompt: str) -> None:
        """Submit one video and read it until it is completed."""
        submitted = await self._call("POST", "/api/v3/openai/sora-2", json={"prompt": prompt})
        if not submitted:
            return
        self.tally.accepted.append(submitted["id"])
        status = ""
        while status not in ("completed", "failed"):
            await asyncio.sleep(self.chance.uniform(*PAUSE_S))
            status = (await self._call("GET", f"/api/v3/predictions/{submitted['id']}/result")).get("status", "")
        if status == "completed":
            self.tally.completed.add(submitted["id"])

    async def work(self, prompts: Iterator[str], ended: asyncio.Event) -> None:
        """See one video after another through, until the load ends."""
        while not ended.is_set():
            await self._see_through(next(prompts))


def client_of(system: System, url: str, *, kept: bool) -> httpx2.AsyncClient:
    """A client of the tenant's with a pool of its own, which keeps its connections or makes a new one each time."""
    limits = httpx2.Limits(max_keepalive_connections=None if kept else 0)
    headers = {"authorization": f"Bearer {system.key}"}
    return httpx2.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=20.0, trust_env=False)
