"""What Redis keeps for one prediction that has ended, in keys of its own: bytes, by how often it was told of."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from redis.asyncio import Redis

from tests.integration.callbacks.post import Post, open_post

BUDGETS: Final = {"nobody": 1_850, "endpoint": 3_050, "callback": 3_400}
"""Bytes; somewhat above what Redis 7 needs, which needs more than Valkey. Who needs more sets it anew, and says why."""


@pytest.fixture
async def post(redis_url: str) -> AsyncIterator[Post]:
    """From an end to a callback."""
    async with open_post(redis_url) as post:
        yield post


async def kept(redis: Redis, prediction_id: str) -> dict[str, int]:
    """Bytes of every key that is the prediction's own."""
    keys = [key.decode() async for key in redis.scan_iter(f"*{prediction_id}*", count=1_000)]
    return {key: await redis.memory_usage(key, samples=0) or 0 for key in sorted(keys)}


@pytest.mark.parametrize("told", BUDGETS)
async def test_what_a_prediction_keeps(post: Post, redis: Redis, told: str) -> None:
    """Its record, its events, its task, and its deliveries with their attempts stay within the budget."""
    if told == "endpoint":
        await post.register()
    prediction_id = await post.end(callback="hook" if told == "callback" else "")
    assert await post.deliver() == (told != "nobody")
    bytes_by_key = await kept(redis, prediction_id)
    total = sum(bytes_by_key.values())
    print(f"told {told}: {total} bytes ({bytes_by_key})")  # noqa: T201 read by who sets it anew
    assert len(bytes_by_key) == (3 if told == "nobody" else 6)
    assert total <= BUDGETS[told], bytes_by_key
