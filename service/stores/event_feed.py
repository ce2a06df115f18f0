"""Tells whoever waits for a prediction that something happened to it: one subscription a process, however many wait.

A message only names the prediction; what happened stands in its log. So: listen first, then read the log, then wait;
whenever woken, read the log again and skip what is known. After every (re)connection all listeners are woken, since
nobody knows what was missed meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.domain.places import Places
from service.stores import keys

MAX_LISTENERS: Final = 20_000
"""Most streams and held requests of one process."""

_SILENCE_S: Final = 10.0
"""After so much silence the connection is asked whether it still is one."""

_RETRY_S: Final = 1.0
"""Between two tries to subscribe."""

_WAKE_AT_ONCE: Final = 250
_WAKE_EVERY_S: Final = 0.02
"""After a reconnection listeners are woken a few at a time: all of them read the log then."""

log = structlog.get_logger()


class Listener:
    """One who waits. `over` once there is nothing more to wait for: its client has gone, or the process ends."""

    __slots__ = ("_news", "_waiter", "over")

    def __init__(self) -> None:
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self.over = False

    def wake(self) -> None:
        """Something may have happened."""
        self._news = True
        self._go_on()

    def end(self) -> None:
        """Nothing is waited for any more."""
        self.over = True
        self.wake()

    async def wait(self, within_s: float) -> bool:
        """Wait until there may be news since the last wait; False when there was nothing in that time.

        A bare timer: thousands of silent streams come back from here every few seconds, and `asyncio.timeout` cancels
        and raises for that.
        """
        if not self._news:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(within_s, self._go_on)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        news, self._news = self._news, False
        return news

    def _go_on(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class EventFeed:
    """Listeners by prediction. `connect` opens a client of its own for the subscription."""

    def __init__(self, connect: Callable[[], Redis], tenant_streams: int) -> None:
        self._connect = connect
        self._listeners: dict[str, set[Listener]] = {}
        self.places = Places("streams", tenant_streams, MAX_LISTENERS)
        self._ending = False
        self.subscribed = False
        """Whether moves are heard of right now."""

    @contextmanager
    def listening(self, prediction_id: str, tenant_id: str) -> Iterator[Listener]:
        """Hear of a prediction for the time of the block; read its log after this, never before.

        Raises `TooManyOpen` when the tenant has as many open as it may, `Overloaded` when the process has.
        """
        with self.places.taken_by(tenant_id):
            listener = Listener()
            if self._ending:
                listener.end()
            self._listeners.setdefault(prediction_id, set()).add(listener)
            try:
                yield listener
            finally:
                among = self._listeners[prediction_id]
                among.discard(listener)
                if not among:
                    del self._listeners[prediction_id]

    def end(self) -> None:
        """End everyone's wait, and that of whoever comes later: the process is about to end."""
        self._ending = True
        for among in list(self._listeners.values()):
            for listener in among:
                listener.end()

    async def follow(self) -> None:
        """Hear of moves until cancelled; while Redis is away, try again and again."""
        told = False
        while True:
            try:
                await self._subscribed()
            except (RedisError, OSError, TimeoutError) as broken:
                if self.subscribed or not told:
                    log.warning("no subscription to moves", reason=type(broken).__name__)
                told = True
            except Exception:  # whatever it was: without this task nobody would hear of anything again
                log.exception("the subscription to moves broke")
            finally:
                self.subscribed = False
            await asyncio.sleep(_RETRY_S)

    async def _subscribed(self) -> None:
        """Subscribe, and hand on what is heard until the connection breaks."""
        redis = self._connect()
        pubsub: Any = redis.pubsub()
        try:
            await pubsub.subscribe(keys.MOVES)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=_SILENCE_S)
                if message is None:
                    if asked:
                        raise TimeoutError("no answer to a ping")
                    await pubsub.ping()
                    asked = True
                    continue
                asked = False
                if message["type"] == "message":
                    for listener in self._listeners.get(message["data"].decode("ascii", "replace"), ()):
                        listener.wake()
                elif message["type"] == "subscribe":
                    self.subscribed = True
                    await self._wake_all()
        finally:
            await pubsub.aclose()
            await redis.aclose()

    async def _wake_all(self) -> None:
        """Wake everyone, a few at a time."""
        everyone = [listener for among in self._listeners.values() for listener in among]
        for start in range(0, len(everyone), _WAKE_AT_ONCE):
            for listener in everyone[start : start + _WAKE_AT_ONCE]:
                listener.wake()
            await asyncio.sleep(_WAKE_EVERY_S)
