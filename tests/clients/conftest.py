"""One system for all of these tests, as processes over sockets; for each a tenant of its own."""

import os
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio
from redis import Redis as BlockingRedis

from service.embedded_redis import embedded_server
from tests.clients.driving import CLIENTS, Case, RealClient
from tests.conftest import TEST_SERVER, immortal_keys
from tests.journeys.system import System

_NUMBERS = count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Gateway, worker and simulator; a synchronous wait ends after three seconds.

    With a Redis of its own: tests beside these empty the one they share.
    """
    with embedded_server(None, tmp_path_factory.mktemp("redis"), binary=os.environ.get(TEST_SERVER)) as redis_url:
        async with System(tmp_path_factory.mktemp("system"), redis_url, BREAKWATER_MAX_WAIT_S="3") as system:
            await system.start()
            yield system
            with BlockingRedis.from_url(redis_url) as client:
                assert immortal_keys(client) == []


@pytest_asyncio.fixture(loop_scope="session", params=CLIENTS, ids=lambda client: client.name)
async def case(request: pytest.FixtureRequest, system: System) -> Case:
    """Each client in turn."""
    client: RealClient = request.param
    tenant = f"team-{next(_NUMBERS)}"
    key = await system.create_tenant(tenant)
    seen = await system.seen_upstream()
    return Case(system, client, tenant, key, seen["paid_submissions"], seen["requests"].get("submit", 0))
