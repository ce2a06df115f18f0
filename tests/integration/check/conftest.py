"""A Redis and an account that are as they should be, and a doctor to look at them."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis

from service.embedded_redis import embedded_server
from simulator.state import Options
from tests.conftest import TEST_SERVER
from tests.integration.check.finding import SOUND, Doctor
from tests.integration.simulator.running import KEY, Running, serving
from tests.journeys import system as ports
from tests.journeys.system import Receiver

RIGHT = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "maxmemory": 2**30}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of these tests' own: they set it wrongly."""
    directory = tmp_path_factory.mktemp("checked")
    with embedded_server(None, directory, appendonly=True, binary=os.environ.get(TEST_SERVER)) as url:
        yield url


@pytest.fixture(scope="module")
def account() -> Iterator[Running]:
    """An account with money, on a simulator."""
    with serving(Options(), lambda: 1_800_000_000.0) as url:
        yield Running(url)


@pytest.fixture
def right_redis(server: str) -> Iterator[Redis]:
    """A client of that Redis, which is set as it should be and holds one tenant."""
    with Redis.from_url(server, decode_responses=True) as client:
        client.flushall()
        for name, value in RIGHT.items():
            client.config_set(name, value)
        client.sadd("bw:tenants", "acme")
        yield client
        client.config_set("requirepass", "")
        client.replicaof("NO", "ONE")


@pytest.fixture
def doctor(right_redis: Redis, server: str, account: Running, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """A doctor for whom everything is right."""
    account.reset()
    where = {
        "BREAKWATER_REDIS_URL": server,
        "BREAKWATER_UPSTREAM_URL": account.url,
        "WAVESPEED_API_KEY": KEY,
        "BREAKWATER_WORKER_METRICS_PORT": str(ports.free_port()),
    }
    return Doctor(monkeypatch, {**SOUND, **where})


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on."""
    return ports.free_port()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running callback receiver that accepts everything."""
    async with Receiver().running() as receiver:
        yield receiver
