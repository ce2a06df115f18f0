"""Where Redis is: one server, or the primary that sentinels name."""

from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

CONNECT_TIMEOUT_S: Final = 2.0
"""Longest wait for a connection to open."""

READ_TIMEOUT_S: Final = 10.0
"""Longest wait for one answer on a client made by `connect`; a blocking read there must ask for less."""

SENTINEL_TIMEOUT_S: Final = 0.5
"""Longest wait for one sentinel: a dead one must not use up what a command may take."""

Address = tuple[str, int]


def connect(url: str, *, max_connections: int, sentinels: Sequence[Address] = (), master: str = "") -> Redis:
    """Make a plain redis-py client that never sends anything twice; its first command opens the first connection.

    At most `max_connections` are open at a time and a caller beyond them waits for one. Answers have redis-py's
    usual shapes, with bytes for text. While Redis is away, commands raise redis-py's own `ConnectionError` or
    `TimeoutError`. A malformed URL raises `ValueError`.

    With `sentinels` each connection asks them, when it opens, where the primary called `master` is; of the URL only
    scheme, user, password and database count. A connection whose server has become a replica closes itself. While no
    sentinel knows a primary, Redis counts as away.
    """
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": READ_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": READ_TIMEOUT_S,
        "socket_keepalive": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
    }
    if not sentinels:
        return Redis.from_pool(BlockingConnectionPool.from_url(url, **options))
    target: dict[str, Any] = {name: value for name, value in parse_url(url).items() if name not in ("host", "port")}
    secure = target.pop("connection_class", None) is not None
    return Redis.from_pool(
        BlockingConnectionPool(
            connection_class=SentinelManagedSSLConnection if secure else SentinelManagedConnection,
            connection_pool=_Primary(master, _asked(sentinels)),  # type: ignore[no-untyped-call] # whom a managed connection asks for its address
            **target,
            **options,
        )
    )


async def known_nodes(sentinels: Sequence[Address], master: str) -> list[Address]:
    """The primary and the replicas that the sentinels know of at this moment; none while no sentinel answers."""
    asked = _asked(sentinels)
    try:
        return [await asked.discover_master(master), *await asked.discover_slaves(master)]
    except RedisError:
        return []
    finally:
        await _let_go(asked)


def _asked(sentinels: Sequence[Address]) -> Sentinel:
    """The sentinels as redis-py asks them: one after the other, the last that answered first."""
    bounds = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}
    return Sentinel(list(sentinels), sentinel_kwargs=bounds)  # type: ignore[no-untyped-call]


async def _let_go(asked: Sentinel) -> None:
    """Close the connections to sentinels: they are asked rarely, and nobody would close them later."""
    for sentinel in asked.sentinels:
        await sentinel.connection_pool.disconnect(inuse_connections=False)


class _Primary(SentinelConnectionPool):
    """Says where the primary is; the connections themselves live in another pool."""

    async def get_master_address(self) -> Address:
        """Ask the sentinels. Raises redis-py's `ConnectionError` when none of them knows."""
        try:
            address: Address = await self.sentinel_manager.discover_master(self.service_name)
        finally:
            await _let_go(self.sentinel_manager)
        return address
