"""The rules of coalesced commands when the network fails: unknown outcomes, known soon, and nothing runs twice."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from service.domain.errors import StoreUnavailable
from service.stores.commands import Commands
from tests.fault_proxy import FaultProxy
from tests.integration.command_calls import counters, opened, outcomes, values
from tests.waiting import wait_until


class TestALostConnection:
    """Unknown for the whole batch, and never sent twice."""

    async def test_while_the_answers_come(self, redis_proxy: FaultProxy, redis: Redis) -> None:
        """All of the batch learn that the outcome is unknown; each command ran once and is not sent again."""
        names = await counters(redis, 10)
        async with opened(redis_proxy.url) as commands:
            await commands("PING")
            redis_proxy.reset_after(6, "to_client")  # one answer and a half
            lost = await outcomes(*(commands("INCR", name) for name in names))
            assert [type(error) for error in lost] == [StoreUnavailable] * 10
            assert len({id(error) for error in lost}) == 10
            assert await commands("ECHO", "a") == b"a"
            assert await values(redis, names) == [1] * 10

    async def test_while_the_commands_leave(self, redis_proxy: FaultProxy, redis: Redis) -> None:
        """What reached the server ran, the rest did not; the callers cannot know, and nothing is sent again."""
        names = await counters(redis, 10)
        async with opened(redis_proxy.url) as commands:
            await commands("PING")
            redis_proxy.reset_after(len("*2\r\n$4\r\nINCR\r\n$2\r\nn0\r\n") * 3 + 5, "to_server")
            lost = await outcomes(*(commands("INCR", name) for name in names))
            assert [type(error) for error in lost] == [StoreUnavailable] * 10
            assert await commands("ECHO", "a") == b"a"
            assert await values(redis, names) == [1] * 3 + [0] * 7

    async def test_whatever_retries_the_client_was_made_with(self, redis_proxy: FaultProxy, redis: Redis) -> None:
        """A client that would send again on its own does not, once commands go through here."""
        (name,) = await counters(redis, 1)
        eager = Redis.from_url(redis_proxy.url, retry=Retry(NoBackoff(), 3), retry_on_timeout=True, socket_timeout=1)
        commands = Commands(eager)
        await commands("PING")
        redis_proxy.reset_after(0, "to_client")
        with pytest.raises(StoreUnavailable):
            await commands("INCR", name)
        assert await commands("ECHO", "a") == b"a"
        assert await values(redis, [name]) == [1]
        await commands.aclose()
        await eager.aclose()

    async def test_other_batches_do_not_notice(self, redis_proxy: FaultProxy) -> None:
        """Two batches of one tick: the one on the lost connection fails, the other is answered."""
        async with opened(redis_proxy.url, batches=2) as commands:
            await asyncio.gather(*(commands("PING") for _ in range(256)))
            redis_proxy.reset_after(0, "to_server")
            answers = await outcomes(*(commands("ECHO", f"{i}") for i in range(256)))
            lost = [i for i, answer in enumerate(answers) if isinstance(answer, StoreUnavailable)]
            assert lost in (list(range(128)), list(range(128, 256)))
            assert all(answers[i] == f"{i}".encode() for i in range(256) if i not in lost)

    async def test_while_idle_is_not_noticed(self, redis_proxy: FaultProxy) -> None:
        """A connection that ended between two batches is opened again before the next: nobody fails."""
        async with opened(redis_proxy.url) as commands:
            await asyncio.gather(*(commands("PING") for _ in range(300)))
            await redis_proxy.cut()
            assert await asyncio.gather(*(commands("ECHO", "a") for _ in range(300))) == [b"a"] * 300

    async def test_a_server_that_is_away_and_comes_back(self, redis_proxy: FaultProxy) -> None:
        """While nobody listens every call fails at once; afterwards calls work without further ado."""
        async with opened(redis_proxy.url) as commands:
            await commands("PING")
            redis_proxy.refuse()
            await redis_proxy.cut()
            for _ in range(20):  # more often than there are connections
                with pytest.raises(StoreUnavailable) as failed:
                    await commands("ECHO", "a")
                assert isinstance(failed.value.__cause__, RedisConnectionError)
            await redis_proxy.listen()
            assert await commands("ECHO", "a") == b"a"


class TestTheDeadline:
    """An outcome comes in time, wherever the command is stuck."""

    async def test_unanswered(self, redis_proxy: FaultProxy) -> None:
        """No answer comes on a connection that was fine: unavailable."""
        async with opened(redis_proxy.url, deadline_s=0.3) as commands:
            await commands("PING")
            redis_proxy.blackhole()
            lost = await outcomes(*(commands("ECHO", "a") for _ in range(200)))
            assert {str(error) for error in lost} == {"no answer from Redis within 0.3 s"}
            assert {type(error) for error in lost} == {StoreUnavailable}

    async def test_connecting(self, redis_proxy: FaultProxy) -> None:
        """The connection opens and its greeting is never answered: unavailable."""
        redis_proxy.blackhole()
        async with opened(redis_proxy.url, deadline_s=0.1) as commands:
            with pytest.raises(StoreUnavailable):
                await commands("PING")

    async def test_waiting(self, redis_proxy: FaultProxy, redis: Redis) -> None:
        """A command that waits behind a stuck batch fails as soon, and is never sent."""
        names = await counters(redis, 129)
        redis_proxy.blackhole()
        async with opened(redis_proxy.url, batches=1, deadline_s=0.3) as commands:
            lost = await outcomes(*(commands("INCR", name) for name in names))
            assert [type(error) for error in lost] == [StoreUnavailable] * 129
            redis_proxy.pass_through()
            assert await commands("ECHO", "a") == b"a"
            assert commands.batches_sent == 2
            assert await values(redis, names) == [0] * 129

    async def test_is_each_calls_own(self, redis_proxy: FaultProxy) -> None:
        """In one batch, the call whose time is up fails and the one that came later goes on waiting."""
        redis_proxy.blackhole()
        async with opened(redis_proxy.url, batches=1) as commands:
            calls = []
            for deadline_s in (0.05, 0.1, 60.0):  # as if much time passed between these calls
                commands._deadline_s = deadline_s
                calls.append(asyncio.create_task(commands("PING")))
                await asyncio.sleep(0)  # the call is made
                await asyncio.sleep(0)  # its tick ends
            stuck, older, younger = calls
            assert [type(error) for error in await outcomes(stuck, older)] == [StoreUnavailable] * 2
            assert commands.batches_sent == 2  # one, and when that failed one of two
            assert not younger.done()
            await wait_until(lambda: redis_proxy.accepted == 2, what="the second connection")
            await redis_proxy.cut()
            assert isinstance((await outcomes(younger))[0], StoreUnavailable)

    async def test_a_late_answer_reaches_nobody(self, redis_proxy: FaultProxy) -> None:
        """A connection that still owes an answer is not used again: the next caller gets the next answer."""
        async with opened(redis_proxy.url, batches=1, deadline_s=0.3) as commands:
            await commands("PING")
            redis_proxy.latency_s = 0.2
            with pytest.raises(StoreUnavailable):
                await commands("ECHO", "late")
            redis_proxy.pass_through()
            for i in range(5):
                assert await commands("ECHO", f"{i}") == f"{i}".encode()
            assert redis_proxy.accepted == 2


class TestClosing:
    """The end, in order."""

    async def test_waits_for_what_was_asked_for(self, redis_url: str, redis: Redis) -> None:
        """Commands that wait or are in flight are answered, over as many batches as it takes."""
        (name,) = await counters(redis, 1)
        async with opened(redis_url, batches=1) as commands:
            calls = [asyncio.create_task(commands("INCR", name)) for _ in range(300)]
            await asyncio.sleep(0)  # all have asked
            await commands.aclose()
            assert sorted([await call for call in calls]) == list(range(1, 301))

    async def test_takes_no_longer_than_the_deadline(self, redis_proxy: FaultProxy) -> None:
        """When Redis does not answer, closing ends with the deadlines of the calls, and the callers are told."""
        redis_proxy.blackhole()
        async with opened(redis_proxy.url, deadline_s=0.1) as commands:
            call = asyncio.create_task(commands("PING"))
            await asyncio.sleep(0)  # it has asked
            async with asyncio.timeout(5):
                await commands.aclose()
            assert isinstance((await outcomes(call))[0], StoreUnavailable)
            await wait_until(lambda: redis_proxy.open_connections == 0, what="the connections to close")

    async def test_can_be_cut_short(self, redis_proxy: FaultProxy) -> None:
        """Who cannot wait for the deadlines cancels the closing: everyone is told at once and all is closed."""
        redis_proxy.blackhole()
        async with opened(redis_proxy.url, batches=1, deadline_s=60.0) as commands:
            calls = [asyncio.create_task(commands("PING")) for _ in range(129)]
            await wait_until(lambda: redis_proxy.open_connections == 1, what="the connection to open")
            closing = asyncio.create_task(commands.aclose())
            await asyncio.sleep(0)  # it waits
            closing.cancel()
            assert [type(error) for error in await outcomes(*calls)] == [StoreUnavailable] * 129
            assert isinstance((await outcomes(closing))[0], asyncio.CancelledError)
            await wait_until(lambda: redis_proxy.open_connections == 0, what="the connection to close")
