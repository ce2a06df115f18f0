"""One time for all: every process goes by the clock of the Redis server, as its scripts do.

Due times, deadlines and ages are compared across processes; hosts whose clocks differ would disagree about them.
"""

from collections.abc import Callable
from typing import Final

import structlog

from service.stores.commands import Commands

TOLERATED_S: Final = 0.05
"""A difference below this is left alone: following it would only make the clock shake."""

WORTH_TELLING_S: Final = 1.0
"""A difference that operators should know about: something is wrong with a host's clock."""

log = structlog.get_logger()


class ServerClock:
    """Unix seconds by the server's clock: the local one, put right each time `synchronize` is called.

    Until the first time, and while Redis is away, it goes as the local clock last did.
    """

    def __init__(self, local: Callable[[], float]) -> None:
        self._local = local
        self._ahead_s = 0.0

    def __call__(self) -> float:
        """Now, in unix seconds."""
        return self._local() + self._ahead_s

    async def synchronize(self, commands: Commands) -> None:
        """Ask the server for its time. Raises `StoreUnavailable`."""
        asked_s = self._local()
        seconds, micros = await commands("TIME")
        answered_s = self._local()
        ahead_s = int(seconds) + int(micros) / 1e6 - (asked_s + answered_s) / 2
        # The answer is from somewhere between the two: no closer is known.
        if abs(ahead_s - self._ahead_s) <= (answered_s - asked_s) / 2 + TOLERATED_S:
            return
        if abs(ahead_s - self._ahead_s) > WORTH_TELLING_S:
            log.warning("this host's clock differs from the server's", ahead_s=round(-ahead_s, 3))
        self._ahead_s = ahead_s
