"""One simulator a module, as if just started for each test."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from tests.integration.simulator.running import Running, running_simulator


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[Running]:
    """The module's simulator."""
    with running_simulator() as running:
        yield running


@pytest.fixture
def simulator(shared_simulator: Running) -> Running:
    """That simulator, with nothing remembered."""
    shared_simulator.reset()
    return shared_simulator


@pytest.fixture
async def client(simulator: Running) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with its key."""
    async with simulator.client() as client:
        yield client
