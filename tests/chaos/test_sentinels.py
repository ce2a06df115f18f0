"""Redis behind sentinels: each connection goes where the primary is, and callbacks go to none of the servers."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.domain.errors import CallbackDenied, StoreUnavailable
from service.resources import connect_arq, connect_redis, open_resources
from service.settings import Settings
from service.stores.commands import Commands
from tests.chaos.sentinels import MASTER, Sentinels
from tests.integration.stores.stack import process_settings
from tests.waiting import wait_until


@pytest.fixture
async def sentinels(tmp_path: Path) -> AsyncIterator[Sentinels]:
    """A primary, a replica, three sentinels."""
    async with Sentinels(tmp_path) as running:
        yield running


def settings(sentinels: Sentinels) -> Settings:
    """Settings that know nothing but the sentinels."""
    return process_settings(
        "redis://nowhere.invalid:1/0",
        redis_sentinels=tuple(sentinels.addresses.split(",")),
        redis_master=MASTER,
        callback_allow="127.0.0.1/32",
    )


async def test_commands_follow_the_primary(sentinels: Sentinels) -> None:
    """Every client writes to the primary; after a switch, without anybody's help, to the new one."""
    client, arq = connect_redis(settings(sentinels), 4), connect_arq(settings(sentinels))
    commands = Commands(client)
    assert await commands("SET", "before", "1", "PX", 60_000) == b"OK"
    assert await arq.set("arq", "1", px=60_000)
    await sentinels.switch()

    async def written() -> bool:
        try:
            return bool(await commands("SET", "after", "1", "PX", 60_000) == b"OK")
        except StoreUnavailable:  # the connection was to the old one: it is closed, and the next goes to the new one
            return False

    await wait_until(written, timeout_s=20, what="a write to the new primary")
    assert await commands("GET", "before") == b"1"
    assert await commands("GET", "arq") == b"1"
    await commands.aclose()
    await client.aclose()
    await arq.aclose(close_connection_pool=True)


async def test_without_sentinels_redis_counts_as_away(sentinels: Sentinels) -> None:
    """A command fails within its deadline, and works again when one sentinel is back in reach."""
    client = connect_redis(settings(sentinels), 4)
    commands = Commands(client)
    for port in sentinels.sentinels:
        await sentinels.kill(port)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await commands("GET", "anything")
    assert time.monotonic() - started < 5
    await commands.aclose()
    await client.aclose()


async def test_one_sentinel_is_enough(sentinels: Sentinels) -> None:
    """The dead ones are passed over."""
    for port in sentinels.sentinels[:2]:
        await sentinels.kill(port)
    client = connect_redis(settings(sentinels), 4)
    commands = Commands(client)
    assert await asyncio.gather(*(commands("ECHO", str(number)) for number in range(50)))
    await commands.aclose()
    await client.aclose()


async def test_no_callback_goes_to_any_of_the_servers(sentinels: Sentinels) -> None:
    """Sentinels, primary and replica are our own Redis: denied, whatever the list allows."""
    async with open_resources(settings(sentinels)) as resources:
        for port in (*sentinels.nodes, *sentinels.sentinels):
            with pytest.raises(CallbackDenied):
                resources.callbacks.check_url(f"http://127.0.0.1:{port}/hook")
        resources.callbacks.check_url("http://127.0.0.1:9/hook")
