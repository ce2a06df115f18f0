"""The stores, opened anew for each test on an empty Redis."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.stores.stack import Stack, open_stack


@pytest.fixture
async def stack(redis_url: str) -> AsyncIterator[Stack]:
    """Every store, and no tenant yet."""
    async with open_stack(redis_url) as stack:
        yield stack


@pytest.fixture
async def acme(stack: Stack) -> Stack:
    """Every store, and the tenant `acme`."""
    await stack.add_tenant()
    return stack
