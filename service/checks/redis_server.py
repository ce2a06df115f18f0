"""What a Redis that answers is like: each check judges what the server tells of itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.checks.findings import Finding, fine, promised
from service.stores.redis_state import FULL_AT
from service.stores.server_clock import WORTH_TELLING_S

LEAST_VERSION: Final = (7, 0)
"""The oldest Redis the scripts are tested on is a 7.0."""

SHORT_AT: Final = 0.7
"""Share of `maxmemory` from which there is too little left to wait with more."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the server tells of itself: INFO's fields, `appendfsync` ("" where it is not told), how far its clock is
    ahead of ours, and how exact that is, in seconds.
    """

    info: Mapping[str, Any]
    appendfsync: str
    ahead_s: float
    uncertain_s: float

    def says(self, field: str) -> str:
        """One field of INFO as text; "" when it is not told."""
        return str(self.info.get(field, ""))


async def ask_server(redis: Redis, clock: Callable[[], float]) -> Told:
    """Ask for everything that is judged. Only reads. Raises what redis-py raises."""
    asked_s = clock()
    seconds, micros = await redis.time()
    answered_s = clock()
    info = await redis.info("everything")
    appendfsync = ""
    with suppress(ResponseError):  # managed ones do not allow it
        appendfsync = str((await redis.config_get("appendfsync")).get("appendfsync", ""))
    ahead_s = seconds + micros / 1e6 - (asked_s + answered_s) / 2
    return Told(info, appendfsync, ahead_s, (answered_s - asked_s) / 2)


def check_version(told: Told) -> Finding:
    """Whether the scripts run there."""
    version = told.says("redis_version")
    parts = version.split(".")
    known = len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal()
    if not known or (int(parts[0]), int(parts[1])) < LEAST_VERSION:
        return promised("redis-too-old", version or "it tells no version")
    return fine("redis-version", f"Valkey {told.says('valkey_version')}" if told.says("valkey_version") else version)


def check_role(told: Told) -> Finding:
    """Whether it is one server that takes writes."""
    if told.says("cluster_enabled") == "1":
        return promised("redis-cluster")
    if told.says("role") != "master":
        return promised("redis-replica", f"its primary is {told.says('master_host')}:{told.says('master_port')}")
    return fine("redis-role", "a primary, alone or behind Sentinel")


def check_durability(told: Told) -> Finding:
    """What a sudden end loses."""
    if told.says("aof_enabled") != "1":
        return promised("aof-off")
    if not told.appendfsync:
        return promised("redis-restricted")
    if told.appendfsync != "always":
        return promised("fsync-everysec" if told.appendfsync == "everysec" else "fsync-no")
    return fine("durability", "appendonly yes, appendfsync always")


def check_eviction(told: Told) -> Finding:
    """Whether what is owed stays."""
    if (policy := told.says("maxmemory_policy")) != "noeviction":
        return promised("evicts", f"it is {policy}")
    return fine("eviction", "maxmemory-policy noeviction")


def check_memory(told: Told) -> Finding:
    """Whether there is a limit, and room below it."""
    used, limit = int(told.info.get("used_memory", 0)), int(told.info.get("maxmemory", 0))
    if limit == 0:
        return promised("maxmemory-unset")
    seen = f"{used / limit:.0%} of {limit / 2**20:,.0f} MiB is used"
    if used > FULL_AT * limit:
        return promised("memory-stopped", seen)
    return promised("memory-short", seen) if used > SHORT_AT * limit else fine("memory", seen)


def check_clock(told: Told) -> Finding:
    """Whether this machine and Redis agree on the time."""
    seen = f"Redis is {abs(told.ahead_s):.1f} s {'ahead' if told.ahead_s > 0 else 'behind'}"
    if abs(told.ahead_s) > WORTH_TELLING_S + told.uncertain_s:
        return promised("clock-differs", seen)
    return fine("clock", "within a second of that of Redis")


_CHECKS: Final = (check_version, check_role, check_durability, check_eviction, check_memory, check_clock)


def judge(told: Told) -> Iterator[Finding]:
    """All of these checks."""
    for check in _CHECKS:
        yield check(told)
