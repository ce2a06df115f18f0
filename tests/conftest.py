"""What every test may use: one real Redis a process, emptied for each test that asks for it."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from service.embedded_redis import embedded_server
from tests.fault_proxy import FaultProxy

TEST_SERVER: Final = "TEST_REDIS_SERVER"
"""Names a Redis server binary to test against instead of the embedded one. Not a setting: so not named like one."""


def pytest_configure() -> None:
    """No test may see a real key, or be configured by the shell it is started from."""
    for name in [n for n in os.environ if n.startswith(("BREAKWATER_", "WAVESPEED_"))]:
        del os.environ[name]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for this test process, started by the first test that needs it; its URL."""
    with embedded_server(None, tmp_path_factory.mktemp("redis"), binary=os.environ.get(TEST_SERVER)) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """URL of an empty database. A test that leaves a key there which would live for ever fails."""
    with BlockingRedis.from_url(redis_server) as client:
        client.flushdb()
        yield redis_server
        assert immortal_keys(client) == [], "keys without a lifetime, and not on the permanent list"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A plain client of that database, to look at what was written; answers are bytes."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def redis_proxy(redis_url: str) -> AsyncIterator[FaultProxy]:
    """The network before that database, which fails on command; its `url` leads through it."""
    async with FaultProxy(redis_url) as proxy:
        yield proxy


def immortal_keys(client: BlockingRedis) -> list[str]:
    """Name the keys that neither carry a lifetime nor match the permanent list."""
    from service.stores.keys import PERMANENT

    keys = [key.decode() for key in client.scan_iter(count=1000)]
    keys = [key for key in keys if not PERMANENT.fullmatch(key)]
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.pttl(key)
        return sorted(key for key, ttl_ms in zip(keys, pipeline.execute(), strict=True) if ttl_ms == -1)
