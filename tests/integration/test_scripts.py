"""Scripts are run by their hash, and sent with their text when the server has forgotten them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.stores.commands import Commands
from service.stores.connections import connect
from service.stores.scripts import Script, Scripts, load, texts
from tests.fault_proxy import FaultProxy

COUNT = Script.of(
    "count",
    "redis.call('INCRBY', KEYS[1], ARGV[1]) redis.call('PEXPIRE', KEYS[1], 60000) return {KEYS[1], ARGV[2]}"
    + "-- long enough to be seen on the wire " * 20,
)
FAIL = Script.of("fail", "redis.call('INCR', KEYS[1]) return redis.error_reply('NOPE not today')")


@pytest.fixture
async def commands(redis_url: str) -> AsyncIterator[Commands]:
    """Commands on an empty database."""
    redis = connect(redis_url, max_connections=1)
    commands = Commands(redis)
    yield commands
    await commands.aclose()
    await redis.aclose()


@pytest.fixture
async def scripts(commands: Commands, redis: Redis) -> Scripts:
    """Two scripts the server does not know yet."""
    await redis.script_flush()
    return Scripts(commands, [COUNT, FAIL])


async def test_runs_and_answers_raw(scripts: Scripts) -> None:
    """Keys and arguments arrive in order, and the answer is what the script returned."""
    assert await scripts.run("count", keys=["n"], args=[2, "é"]) == [b"n", "é".encode()]


async def test_a_forgotten_script_alone_is_sent_again(scripts: Scripts, commands: Commands, redis: Redis) -> None:
    """After the server lost its scripts, each call still runs exactly once, and so does the rest of the batch."""
    await scripts.run("count", keys=["n"], args=[1, ""])
    await redis.script_flush()
    sent = commands.batches_sent
    await asyncio.gather(
        *(scripts.run("count", keys=["n"], args=[1, ""]) for _ in range(3)),
        *(commands("INCR", "n") for _ in range(3)),
    )
    assert await redis.get("n") == b"7"
    assert commands.batches_sent - sent == 2


async def test_goes_by_hash_once_it_is_known(redis_url: str, redis: Redis) -> None:
    """Only the first call carries the text."""
    await redis.script_flush()
    async with FaultProxy(redis_url) as proxy, connect(proxy.url, max_connections=1) as client:
        commands = Commands(client)
        scripts = Scripts(commands, [COUNT])
        await scripts.run("count", keys=["n"], args=[1, ""])
        first = proxy.bytes_seen["to_server"]
        await scripts.run("count", keys=["n"], args=[1, ""])
        await commands.aclose()
        assert first > len(COUNT.source) > 3 * (proxy.bytes_seen["to_server"] - first)


async def test_an_error_of_the_script_is_not_retried(scripts: Scripts, redis: Redis) -> None:
    """What the script itself refuses reaches the caller, and the script ran once."""
    await redis.set("n", 0, ex=60)
    for _ in range(2):  # once with its text, once by its hash
        with pytest.raises(ResponseError, match="NOPE not today"):
            await scripts.run("fail", keys=["n"])
    assert await redis.get("n") == b"2"


async def test_an_unknown_name_is_a_mistake_of_ours(scripts: Scripts, commands: Commands) -> None:
    """A script that has no file is named, with those that have one, and nothing is sent."""
    with pytest.raises(LookupError, match="no script named 'cuont'; there are: count, fail"):
        await scripts.run("cuont", keys=[])
    assert commands.batches_sent == 0


def test_every_file_is_a_script_or_shared() -> None:
    """The scripts are the files in the folder, read once, and shared text stands before each of them."""
    found = texts()
    shared = "".join(text for name, text in found.items() if name.startswith("_"))
    assert {script.name for script in load()} == {name for name in found if not name.startswith("_")}
    assert all(script.source == shared + found[script.name] for script in load())
    assert load() is load()


@pytest.mark.parametrize("script", load(), ids=lambda script: script.name)
async def test_every_script_compiles(script: Script, redis: Redis) -> None:
    """A real server takes every script we ship, under the hash we call it by."""
    assert await redis.script_load(script.source) == script.sha
