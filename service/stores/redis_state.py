"""Whether Redis can be relied on: has it answered once with the right key, and has it room for more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from redis.exceptions import RedisError

from service.domain.errors import BreakwaterError, StoreUnavailable
from service.stores.answers import info_fields
from service.stores.commands import Commands
from service.stores.encryption import Encryption, WrongEncryptionKey
from service.stores.server_clock import ServerClock

CHECK_EVERY_S: Final = 1.0
"""How often Redis is looked at, in seconds."""

FULL_AT: Final = 0.85
"""Share of `maxmemory` past which nothing new is accepted, so that what was accepted can always end."""

log = structlog.get_logger()


class RedisState:
    """Looks at Redis every second in the background, and puts `clock` right by it.

    `on_wrong_key` is called once if the encryption key is wrong.
    """

    def __init__(
        self, commands: Commands, encryption: Encryption, on_wrong_key: Callable[[], None], clock: ServerClock
    ) -> None:
        self._commands = commands
        self._clock = clock
        self._encryption = encryption
        self._on_wrong_key = on_wrong_key
        self.ready = False
        self.full = False
        self._down = False
        self._wrong_key: WrongEncryptionKey | None = None

    @property
    def up(self) -> bool:
        """Whether Redis answered the last look."""
        return self.ready and not self._down

    def require_right_key(self) -> None:
        """Raise `WrongEncryptionKey` again if that is why the process was stopped: its end is a failure."""
        if self._wrong_key is not None:
            raise self._wrong_key

    async def watch(self, first: Callable[[], Awaitable[object]] | None = None) -> None:
        """Run until canceled, or until the encryption key proves wrong. `first` is done before this is `ready`."""
        while True:
            try:
                await self._look(first)
            except WrongEncryptionKey as wrong:
                log.error("stopping", reason=str(wrong))
                self._wrong_key = wrong
                self._on_wrong_key()
                return
            except (BreakwaterError, RedisError) as error:
                if not self._down:
                    log.warning("redis is away", reason=str(error))
                self._down = True
            await asyncio.sleep(CHECK_EVERY_S)

    async def _look(self, first: Callable[[], Awaitable[object]] | None) -> None:
        """One look: the canary the first time, clock and memory every time."""
        await self._clock.synchronize(self._commands)
        if not self.ready:
            await self._encryption.check_canary(self._commands)
            if first is not None:
                await first()
            self.ready = True
            log.info("redis answered")
        memory = info_fields(await self._commands("INFO", "memory"))
        limit = int(memory.get("maxmemory", "0"))
        full = limit > 0 and int(memory["used_memory"]) > FULL_AT * limit
        if full != self.full:
            log.warning("redis is nearly full; submissions stop" if full else "redis has room again")
        self.full = full
        if self._down:
            log.info("redis is back")
        self._down = False

    def require_room(self) -> None:
        """Raise `StoreUnavailable` while Redis is nearly full."""
        if self.full:
            raise StoreUnavailable("the store is nearly full; nothing new is accepted until there is room")
