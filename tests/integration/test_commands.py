"""The rules of coalesced commands, one test each: what comes back, what travels together, what is refused."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.domain.errors import StoreOverloaded, StoreUnavailable
from service.stores.commands import Commands
from service.stores.connections import connect
from tests.fault_proxy import FaultProxy
from tests.integration.command_calls import counters, opened, outcomes, values
from tests.waiting import wait_until


class TestAnswers:
    """What comes back."""

    async def test_are_what_redis_said(self, redis_url: str) -> None:
        """No answer is turned into anything: bytes, int, None and lists of them, whatever the command."""
        async with opened(redis_url) as commands:
            assert await commands("SET", "text", "é", "PX", 60_000) == b"OK"
            assert await commands("SET", "text", "other", "NX") is None
            assert await commands("GET", "text") == "é".encode()
            assert await commands("EXISTS", "text", "absent") == 1
            assert await commands("HSET", "hash", "a", 1, "b", 2.5) == 2
            assert await commands("PEXPIRE", "hash", 60_000) == 1
            assert await commands("HGETALL", "hash") == [b"a", b"1", b"b", b"2.5"]
            assert await commands("HMGET", "hash", "a", "absent") == [b"1", None]
            assert await commands("EVAL", "return {1, 'two', {}}", 0) == [1, b"two", []]

    async def test_do_not_depend_on_the_client_given(self, redis_url: str) -> None:
        """A client made for text or the newer protocol changes nothing."""
        redis = Redis.from_url(redis_url, decode_responses=True, protocol=3)
        commands = Commands(redis)
        await commands("HSET", "hash", "a", "1")
        await commands("EXPIRE", "hash", 60)
        assert await commands("HGETALL", "hash") == [b"a", b"1"]
        await commands.aclose()
        await redis.aclose()


class TestBatches:
    """What travels together."""

    async def test_one_tick_is_one_batch_of_at_most_128(self, redis_url: str) -> None:
        """300 commands of one tick go out in three batches, and everyone gets their own answer."""
        async with opened(redis_url) as commands:
            answers = await asyncio.gather(*(commands("ECHO", f"{i}") for i in range(300)))
            assert answers == [f"{i}".encode() for i in range(300)]
            assert commands.batches_sent == 3

    async def test_many_callers_take_few_batches_and_bounded_connections(self, redis_proxy: FaultProxy) -> None:
        """1,000 callers at once need eight batches; with two in flight, two connections."""
        async with opened(redis_proxy.url, batches=2) as commands:
            answers = await asyncio.gather(*(commands("ECHO", f"{i}") for i in range(1000)))
            assert answers == [f"{i}".encode() for i in range(1000)]
            assert commands.batches_sent == 8
            assert redis_proxy.accepted == 2

    async def test_a_command_after_an_answer_runs_after_it(self, redis_url: str) -> None:
        """The only order there is: what is asked for after an answer sees what was answered."""
        async with opened(redis_url) as commands:

            async def caller(name: str) -> None:
                for i in range(5):
                    await commands("SET", name, i, "PX", 60_000)
                    assert await commands("GET", name) == f"{i}".encode()

            await asyncio.gather(*(caller(f"caller{i}") for i in range(50)))


class TestOneCallersTrouble:
    """What goes wrong for one caller concerns nobody else."""

    async def test_an_error_is_for_who_caused_it(self, redis_url: str) -> None:
        """An error answered to one command leaves the batch alone, and the connection in use."""
        async with opened(redis_url, batches=1) as commands:
            answers = await outcomes(commands("ECHO", "a"), commands("NONSENSE"), commands("ECHO", "b"))
            assert [answers[0], answers[2]] == [b"a", b"b"]
            assert isinstance(answers[1], ResponseError)
            assert "unknown command" in str(answers[1])
            assert await commands("ECHO", "c") == b"c"
            assert commands.batches_sent == 2

    @pytest.mark.parametrize("bad", [None, True, ["a"], "\ud800"], ids=["None", "bool", "list", "surrogate"])
    async def test_what_cannot_be_sent_is_refused_alone(self, redis_url: str, bad: Any) -> None:
        """An argument without a form on the wire is its caller's error; the others' commands are sent."""
        async with opened(redis_url) as commands:
            answers = await outcomes(commands("ECHO", "a"), commands("ECHO", bad), commands("ECHO", "b"))
            assert [answers[0], answers[2]] == [b"a", b"b"]
            assert isinstance(answers[1], TypeError | UnicodeEncodeError)

    async def test_nothing_is_no_command(self, redis_url: str) -> None:
        """A call without a name, which Redis would not answer, is refused."""
        async with opened(redis_url) as commands:
            answers = await outcomes(commands(), commands("ECHO", "a"))
            assert isinstance(answers[0], ValueError)
            assert answers[1] == b"a"

    async def test_a_cancelled_caller_leaves_the_batch_alone(self, redis_proxy: FaultProxy, redis: Redis) -> None:
        """What was sent runs and the others get their answers, although one caller has gone."""
        names = await counters(redis, 3)
        async with opened(redis_proxy.url, batches=1) as commands:
            await commands("PING")
            sent = redis_proxy.bytes_seen["to_server"]
            redis_proxy.latency_s = 0.02
            calls = [asyncio.create_task(commands("INCR", name)) for name in names]
            await wait_until(lambda: redis_proxy.bytes_seen["to_server"] > sent, what="the batch to leave")
            calls[1].cancel()
            gone: list[Any] = await outcomes(*calls)
            assert [gone[0], gone[2]] == [1, 1]
            assert isinstance(gone[1], asyncio.CancelledError)
            assert await values(redis, names) == [1, 1, 1]
            assert await commands("ECHO", "a") == b"a"

    async def test_a_cancelled_caller_that_still_waits_sends_nothing(self, redis_url: str, redis: Redis) -> None:
        """A command whose caller has gone before it was sent is not sent."""
        names = await counters(redis, 2)
        async with opened(redis_url) as commands:
            first, second = (asyncio.create_task(commands("INCR", name)) for name in names)
            await asyncio.sleep(0)  # both have asked; the tick has not ended
            first.cancel()
            assert await second == 1
            assert await values(redis, names) == [0, 1]


class TestLimits:
    """What is refused at once."""

    async def test_a_full_queue_refuses_and_sends_nothing(self, redis_url: str, redis: Redis) -> None:
        """Beyond the bound callers are refused, at once and alone; those before them are served."""
        names = await counters(redis, 5)
        async with opened(redis_url, queue=3) as commands:
            answers = await outcomes(*(commands("INCR", name) for name in names))
            assert answers[:3] == [1, 1, 1]
            assert [type(error) for error in answers[3:]] == [StoreOverloaded] * 2
            assert await values(redis, names) == [1, 1, 1, 0, 0]
            assert await commands("INCR", names[4]) == 1

    async def test_a_closed_one_refuses(self, redis_url: str) -> None:
        """After the end nothing is sent."""
        async with opened(redis_url) as commands:
            await commands("PING")
        with pytest.raises(StoreUnavailable, match="shutting down"):
            await commands("PING")


class TestAServerThatCannotServe:
    """Answers about the server's state mean unavailable, for whoever got one."""

    @pytest.mark.parametrize(
        "answer",
        [
            "BUSY Redis is busy running a script",
            "CLUSTERDOWN The cluster is down",
            "MASTERDOWN Link with MASTER is down",
            "MISCONF Redis is configured to save RDB snapshots, but it is unable to persist",
            "NOREPLICAS Not enough good replicas to write.",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
        ],
        ids=lambda answer: answer.split()[0],
    )
    async def test_is_unavailable(self, redis_url: str, answer: str) -> None:
        """The command did not run, and it is not the caller's fault; its neighbours are answered."""
        async with opened(redis_url) as commands:
            answers = await outcomes(
                commands("ECHO", "a"),
                commands("EVAL", "return redis.error_reply(ARGV[1])", 0, answer),
                commands("ECHO", "b"),
            )
            assert [answers[0], answers[2]] == [b"a", b"b"]
            assert type(answers[1]) is StoreUnavailable
            assert isinstance(answers[1].__cause__, ResponseError)

    async def test_loading_is_unavailable_for_all(self, redis_url: str) -> None:
        """A server that still loads its data can answer nobody."""
        async with opened(redis_url) as commands:
            loading = "return redis.error_reply('LOADING Redis is loading the dataset in memory')"
            answers = await outcomes(commands("EVAL", loading, 0), commands("ECHO", "a"))
            assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
            assert await commands("ECHO", "b") == b"b"

    async def test_a_replica_is_left(self, redis_proxy: FaultProxy) -> None:
        """A server that turned read-only is a failover's loser: the next batch connects anew."""
        async with opened(redis_proxy.url) as commands:
            with pytest.raises(StoreUnavailable):
                await commands("EVAL", "return redis.error_reply('READONLY as a replica is')", 0)
            assert await commands("ECHO", "a") == b"a"
            assert redis_proxy.accepted == 2


class TestPlainClient:
    """What `connect` makes, for what does not belong in a batch."""

    async def test_never_sends_twice(self, redis_proxy: FaultProxy, redis: Redis) -> None:
        """A lost connection is its caller's to judge."""
        (name,) = await counters(redis, 1)
        client = connect(redis_proxy.url, max_connections=1)
        await client.ping()
        redis_proxy.reset_after(0, "to_client")
        with pytest.raises(RedisConnectionError):
            await client.incr(name)
        assert await client.get(name) == b"1"
        await client.aclose()

    async def test_waits_for_a_connection(self, redis_proxy: FaultProxy) -> None:
        """Beyond its connections a caller waits instead of failing."""
        client = connect(redis_proxy.url, max_connections=2)
        assert await asyncio.gather(*(client.echo(f"{i}") for i in range(20))) == [b"%d" % i for i in range(20)]
        assert redis_proxy.accepted == 2
        await client.aclose()

    def test_refuses_a_malformed_url(self) -> None:
        """A URL that is none is found out before anything connects."""
        with pytest.raises(ValueError, match="URL"):
            connect("redis.example:6379", max_connections=1)
