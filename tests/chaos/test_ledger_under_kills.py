"""Thousands of predictions while gateways and workers are killed at random: no slot leaks, no micro-dollar is lost."""

import asyncio
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
import pytest
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient

from service.domain.limits import window_of
from service.domain.tenant_spec import read_spec
from service.resources import Resources
from service.stores.books import Booked
from service.stores.keys import OPEN
from tests.chaos.conftest import PREDICTIONS
from tests.chaos.crew import two_and_two
from tests.chaos.short_account import nobody_waits
from tests.chaos.submitting import submit
from tests.journeys.system import System, free_port
from tests.waiting import wait_until

TENANTS: Final = ("acme", "beta", "gamma")
SUBMITTERS: Final = 48
PER_MINUTE: Final = max(60, PREDICTIONS * 2 // 3)
"""What the account allows: two thirds of all that is submitted, at once."""

PRICE: Final = 400_000

PROMPTS: Final = (
    *["a wave"] * 16,
    "[sim:fail] a wave that breaks",
    "[sim:submit=422] refused",
    "[sim:submit=lost] answered to nobody",
    "[sim:submit=503] nobody knows",
)
"""Most videos work; some fail, some are refused, some may have been started and may not."""


async def _booked(resources: Resources, tenant: str) -> list[Booked]:
    """Every prediction of a tenant."""
    return [prediction async for prediction in resources.reconcile.books.predictions(tenant)]


@pytest.mark.timeout(330)
async def test_kills_leak_no_slot_and_lose_no_money(tmp_path: Path, redis_url: str, chance: random.Random) -> None:
    """10,000 predictions of three tenants with processes killed at random: the books are exact, nothing paid twice."""
    settings = {"BREAKWATER_DRAIN_S": "2", "BREAKWATER_UPSTREAM_PER_MINUTE": str(PER_MINUTE)}
    async with System(tmp_path, redis_url, **settings) as system:
        ports = [free_port() for _ in range(2)]
        await system.start_simulator("--balance", "1000000000", "--per-minute", str(PER_MINUTE))
        crew = two_and_two(system, ports)
        await crew.begin()
        spec = read_spec({"limits": {"concurrency": 1_000_000, "budget_usd": "1000000", "daily": 1_000_000}})
        keys = [await system.create_tenant(tenant, spec) for tenant in TENANTS]
        bases = tuple(f"http://127.0.0.1:{port}" for port in ports)
        numbers = iter(range(PREDICTIONS))
        answers: dict[int, str] = {}

        async def submitter(client: httpx2.AsyncClient) -> None:
            for number in numbers:
                prompt = PROMPTS[number % len(PROMPTS)]
                answers[number] = await submit(client, bases, keys[number % len(keys)], number, prompt)

        async with Httpx2AiohttpClient(timeout=20.0, trust_env=False) as client:
            harassing = asyncio.create_task(crew.harass(chance))
            await asyncio.gather(*(submitter(client) for _ in range(SUBMITTERS)))
            async with system.resources() as resources:
                await wait_until(partial(nobody_waits, resources), timeout_s=150, what="nobody waits for the account")
            harassing.cancel()
            await asyncio.gather(harassing, return_exceptions=True)
        async with system.resources() as resources:
            await _settled(resources)
            crew.end()
            await _audit(system, resources, answers)
        print(f"killed: {dict(crew.kills)}")  # noqa: T201
        assert sum(crew.kills.values()) >= 5


async def _settled(resources: Resources) -> None:
    """Wait until every prediction the upstream has confirmed by now has reached its end; others are looked for."""

    async def running() -> set[str]:
        found = [prediction for tenant in TENANTS for prediction in await _booked(resources, tenant)]
        return {prediction.id for prediction in found if prediction.state in ("created", "processing")}

    confirmed = await running()

    async def they_have_ended() -> bool:
        return not confirmed & await running()

    await wait_until(they_have_ended, timeout_s=150, what="every confirmed prediction has ended")


async def _account_s_places(resources: Resources) -> set[str]:
    """Which predictions take one."""
    return {raw.decode() for raw in await resources.commands("ZRANGE", OPEN, 0, -1)}


async def _audit(system: System, resources: Resources, answers: dict[int, str]) -> None:
    """Count everything again, from the predictions alone."""
    accepted = [answer for answer in answers.values() if answer]
    assert len(answers) == PREDICTIONS
    assert len(accepted) == len(set(accepted)), "no prediction stands for two submissions"
    assert await resources.reconcile() == 0, "nothing had drifted"
    month = window_of(int(resources.clock() * 1000)).month
    known: set[str] = set()
    unended: set[str] = set()
    waited = 0
    for tenant in TENANTS:
        predictions = await _booked(resources, tenant)
        known |= {prediction.id for prediction in predictions}
        loaded = await asyncio.gather(*(resources.predictions.load(prediction.id) for prediction in predictions))
        waited += sum(one is not None and one.submitted_at_ms > 0 for one in loaded)
        money = Counter[str]()
        for prediction in predictions:
            money[prediction.money] += PRICE
        ledger = await resources.ledger.ledger(tenant, month)
        assert ledger.conserved
        assert (ledger.held, ledger.settled, ledger.admitted) == (money["held"], money["settled"], len(predictions))
        refused = sum(row["refused"] for row in await resources.ledger.usage(tenant, month))
        assert ledger.released == money["released"] + refused * PRICE
        holding = {prediction.id for prediction in predictions if prediction.holds_slot}
        assert await resources.reconcile.books.slots(tenant) == holding
        unended |= holding
        completed = sum(prediction.state == "completed" for prediction in predictions)
        assert ledger.settled == completed * PRICE
        print(f"{tenant}: {len(predictions)} predictions, {completed} completed, {len(holding)} unconfirmed")  # noqa: T201
    assert set(accepted) <= known, "what was accepted is known"
    assert await _account_s_places(resources) == unended, "no place of the account's is lost"
    seen = await system.seen_upstream()
    assert seen["paid_submissions"] <= len(known), "nothing was paid twice"
    assert "429" not in seen["refused"], "the account's limits were never hit"
    print(f"{len(known)} predictions, {waited} of them had to wait for the account and none was refused there")  # noqa: T201
    assert waited >= PREDICTIONS // 10
