"""One subscription for all who wait: who is woken by what, and that nobody is forgotten when it was lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest
from redis.asyncio import Redis

from service.resources import follow_moves
from service.stores import keys
from service.stores.connections import connect
from service.stores.event_feed import EventFeed, Listener
from tests.fault_proxy import FaultProxy
from tests.waiting import wait_until

LONG_S = 30.0


@asynccontextmanager
async def following(url: str) -> AsyncIterator[EventFeed]:
    """A feed that is subscribed."""
    feed = EventFeed(lambda: connect(url, max_connections=1), tenant_streams=2_000)
    async with follow_moves(feed):
        await wait_until(lambda: feed.subscribed, what="the subscription")
        yield feed


@contextmanager
def crowd(feed: EventFeed, count: int) -> Iterator[dict[str, Listener]]:
    """So many listeners, each of a prediction of its own."""
    with ExitStack() as stack:
        yield {f"{n:032x}": stack.enter_context(feed.listening(f"{n:032x}", "acme")) for n in range(count)}


async def test_a_move_wakes_only_who_listens_to_it(redis: Redis, redis_url: str) -> None:
    """However many wait, a prediction's news is work for its own listeners alone; what is no id is nobody's."""
    async with following(redis_url) as feed:
        with crowd(feed, 50) as listeners:
            chosen = f"{7:032x}"
            with feed.listening(chosen, "acme") as second:
                for message in (b"\xff\xfe", b"", chosen.encode()):
                    await redis.publish(keys.MOVES, message)
                assert await listeners.pop(chosen).wait(LONG_S)
                assert await second.wait(LONG_S)
            assert not any([await listener.wait(0) for listener in listeners.values()])


async def test_everyone_is_woken_after_a_lost_subscription(redis_url: str, redis_proxy: FaultProxy) -> None:
    """Each of more listeners than are woken at a time: nobody knows what was missed."""
    async with following(redis_proxy.url) as feed:
        with crowd(feed, 600) as listeners:
            await redis_proxy.cut()
            assert all(await asyncio.gather(*(listener.wait(LONG_S) for listener in listeners.values())))


async def test_the_subscription_is_one_connection(redis_url: str, redis_proxy: FaultProxy) -> None:
    """Hundreds of listeners open no second one."""
    async with following(redis_proxy.url) as feed:
        with crowd(feed, 600):
            assert (redis_proxy.open_connections, redis_proxy.accepted) == (1, 1)


async def test_news_between_two_waits_is_not_lost() -> None:
    """Whoever reads the log meanwhile hears of it at the next wait, once."""
    listener = Listener()
    listener.wake()
    assert await listener.wait(LONG_S)
    assert not await listener.wait(0)


async def test_a_cancelled_wait_takes_no_news_with_it() -> None:
    """The next one hears of what came just then."""
    listener = Listener()
    waiting = asyncio.create_task(listener.wait(LONG_S))
    await asyncio.sleep(0)
    listener.wake()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await listener.wait(LONG_S)


async def test_an_end_ends_every_wait() -> None:
    """The one that is going on, and those to come: nothing more is waited for."""
    listener = Listener()
    waiting = asyncio.create_task(listener.wait(LONG_S))
    await asyncio.sleep(0)
    listener.end()
    assert await waiting
    assert listener.over
