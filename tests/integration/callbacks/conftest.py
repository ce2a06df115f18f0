"""An empty Redis, a gateway, a worker and a receiver for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.callbacks.post import Post, open_post


@pytest.fixture
async def post(redis_url: str) -> AsyncIterator[Post]:
    """Everything from an end to a callback."""
    async with open_post(redis_url) as post:
        yield post
