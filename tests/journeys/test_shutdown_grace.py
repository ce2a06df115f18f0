"""A gateway told to end: what a load balancer and a client with kept connections see of it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.journeys.system import System
from tests.waiting import wait_until

FOR_EVER_S: Final = "600"
"""A grace no test waits for: it ends when it is told to."""


@pytest.fixture
async def system(tmp_path: Path, redis_url: str) -> AsyncIterator[System]:
    """A system whose gateway has a long grace."""
    async with System(tmp_path, redis_url, BREAKWATER_SHUTDOWN_GRACE_S=FOR_EVER_S) as system:
        yield system


async def test_it_answers_until_the_grace_is_over_and_a_second_signal_ends_that(system: System) -> None:
    """After SIGTERM it is red at once and answers all the same, each connection once more; after another it ends."""
    await system.start_simulator()
    gateway = await system.start_gateway()
    await system.create_tenant()
    submitted = await system.submit("a jetty")  # over a connection that is kept

    gateway.process.send_signal(signal.SIGTERM)
    async with httpx2.AsyncClient(base_url=system.gateway_url, trust_env=False) as balancer:

        async def red() -> bool:
            return (await balancer.get("/readyz")).status_code == 503

        await wait_until(red, what="readiness is red")
        assert (await balancer.get("/livez")).status_code == 200

    path = f"/api/v3/predictions/{submitted['id']}/result"
    for connection in ("kept", "new"):
        answer = await system.client.get(path)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close"), connection
    assert (await system.submit("a mole"))["status"] == "created"
    assert gateway.process.poll() is None

    gateway.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.process.wait, 10) == 0


async def test_an_answer_under_way_when_it_ends_reaches_its_client(system: System) -> None:
    """A submission that is being answered upstream when the grace ends is answered, and only then the gateway ends."""
    await system.start_simulator()
    gateway = await system.start_gateway()
    await system.create_tenant()
    submitting = asyncio.create_task(system.submit("[sim:delay=1] a quay"))

    async def arrived() -> bool:
        return bool((await system.seen_upstream())["requests"].get("submit"))

    await wait_until(arrived, what="the submission is on its way")
    gateway.process.send_signal(signal.SIGINT)
    gateway.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(gateway.process.wait, 10) == 0
    assert (await submitting)["status"] == "created"
