"""One simulator a module, and a gateway before it on an empty Redis for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.http.gateway import Gateway, open_gateway, settings
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
async def gateway(redis_url: str, simulator: Running) -> AsyncIterator[Gateway]:
    """A gateway before the simulator."""
    async with open_gateway(settings(redis_url, simulator.url)) as gateway:
        yield gateway
