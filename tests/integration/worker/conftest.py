"""What the worker is built from, on an empty Redis."""

from collections.abc import AsyncIterator

import pytest

from service.resources import Resources, open_resources
from tests.integration.stores.stack import Stack, open_stack, process_settings


@pytest.fixture
async def stack(redis_url: str) -> AsyncIterator[Stack]:
    """Every store on a clock that the test moves, and the tenant `acme`."""
    async with open_stack(redis_url) as stack:
        await stack.add_tenant()
        yield stack


@pytest.fixture
async def resources(redis_url: str) -> AsyncIterator[Resources]:
    """What a worker process opens, on the real clock."""
    async with open_resources(process_settings(redis_url)) as resources:
        yield resources
