"""What Redis holds and how it is set, in a few bounded commands: for metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Final

from service.stores import keys
from service.stores.answers import info_fields
from service.stores.commands import Commands
from service.stores.scripts import Scripts

TENANTS_AT_ONCE: Final = 50
"""Of how many tenants the endpoints are counted in one script: each has 50 at most, so Redis is held up for little."""


@dataclass(frozen=True, slots=True)
class RedisSetting:
    """How Redis is set: an append-only file, no evictions, and the share of `maxmemory` in use (NaN without one)."""

    append_only: bool
    noeviction: bool
    memory_used: float


class Holdings:
    """Counts and settings. Every method raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands, scripts: Scripts, clock: Callable[[], float]) -> None:
        self._commands = commands
        self._scripts = scripts
        self._clock = clock

    async def setting(self) -> RedisSetting:
        """How Redis is set, by INFO alone: a managed one may refuse CONFIG."""
        memory = info_fields(await self._commands("INFO", "memory"))
        persistence = info_fields(await self._commands("INFO", "persistence"))
        limit = int(memory.get("maxmemory", "0"))
        return RedisSetting(
            append_only=persistence.get("aof_enabled") == "1",
            noeviction=memory.get("maxmemory_policy") == "noeviction",
            memory_used=int(memory["used_memory"]) / limit if limit else nan,
        )

    async def dead_letters(self) -> int:
        """How many given-up deliveries are still known, and so can be resent."""
        oldest_known_ms = int(self._clock() * 1000) - keys.DELIVERY_MS
        return int(await self._commands("ZCOUNT", keys.DEAD, oldest_known_ms, "+inf"))

    async def endpoints(self) -> tuple[int, int]:
        """How many endpoints are enabled, and how many disabled, of all tenants."""
        found = sorted(await self._commands("SMEMBERS", keys.TENANTS))
        enabled = disabled = 0
        for start in range(0, len(found), TENANTS_AT_ONCE):
            some = [keys.tenant_endpoints(raw.decode()) for raw in found[start : start + TENANTS_AT_ONCE]]
            on, off = await self._scripts.run("count_endpoints", keys=some)
            enabled, disabled = enabled + on, disabled + off
        return enabled, disabled
