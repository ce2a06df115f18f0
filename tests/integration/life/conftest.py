"""One simulator a module; for each test an empty Redis, and a gateway and a worker on the simulator's clock."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.http.conftest import shared_simulator, simulator
from tests.integration.life.life import Life, open_life
from tests.integration.simulator.running import Running

__all__ = ["shared_simulator", "simulator"]


@pytest.fixture
async def life(redis_url: str, simulator: Running) -> AsyncIterator[Life]:
    """A gateway and a worker without upstream callbacks."""
    async with open_life(redis_url, simulator) as life:
        yield life


@pytest.fixture
async def impatient(redis_url: str, simulator: Running) -> AsyncIterator[Life]:
    """The same, answering its caller before a slow upstream has answered."""
    async with open_life(redis_url, simulator, answer_within_s=0.05) as life:
        yield life
