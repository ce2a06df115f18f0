"""Calls of `Commands`, as its tests make them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from service.stores.commands import Commands
from service.stores.connections import connect


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Commands]:
    """Commands on `url`, closed at the end."""
    redis = connect(url, max_connections=4)
    commands = Commands(redis, **options)
    try:
        yield commands
    finally:
        await commands.aclose()
        await redis.aclose()


async def counters(redis: Redis, count: int) -> list[str]:
    """Set up `count` counters at 0, with a lifetime."""
    names = [f"n{i}" for i in range(count)]
    for name in names:
        await redis.set(name, 0, ex=60)
    return names


async def values(redis: Redis, names: list[str]) -> list[int]:
    """What the counters stand at."""
    return [int(value) for value in await redis.mget(names)]


async def outcomes(*calls: Any) -> list[Any]:
    """Make all calls in one tick and return what each came to, errors included."""
    return await asyncio.gather(*calls, return_exceptions=True)
