"""What Breakwater itself has written to Redis: read, never written, not even the canary."""

from collections.abc import Callable, Iterator
from typing import Final

from redis.asyncio import Redis

from service.checks.findings import Finding, fine, promised, unseen
from service.checks.given_settings import Given
from service.stores import keys
from service.stores.encryption import Encryption
from service.stores.keys import DueSet

OVERDUE_S: Final = 60.0
"""How long something may have been due: a sweep finds lost work within ten seconds."""

_WORKED_OFF: Final[tuple[DueSet, ...]] = ("poll", "deliver", "retain")
"""Due sets whose items wait for nothing but a worker; a submission that waits for the account may do so for long."""


def check_encryption(given: Given, canary: bytes | None, *, read: bool = True) -> Iterator[Finding]:
    """Whether there is a key, and it is that of what is stored.

    `canary` is None where there is none; `read` is False where nobody could look for one.
    """
    held = [key.get_secret_value() for key in given.settings.encryption_key]
    if not held:
        if not given.lacks("encryption_key"):
            yield promised("encryption-key-missing")
        return
    if not read:
        yield unseen("encryption-key", "what is stored cannot be read")
        return
    if canary is not None and not Encryption(held).fits(canary):
        yield promised("encryption-key-differs")
        return
    if len(held) > 1:
        done = canary is None or Encryption(held[:1]).fits(canary)
        yield promised("encryption-key-changing", "the first is in use" if done else "secrets are under an older one")
        return
    yield fine("encryption-key", "fits what is stored" if canary else "this Redis holds nothing encrypted yet")


async def check_work(redis: Redis, clock: Callable[[], float]) -> list[Finding]:
    """Whether workers do what is due."""
    overdue = []
    for due_set in _WORKED_OFF:
        oldest = await redis.zrange(keys.due(due_set), 0, 0, withscores=True)
        waited_s = clock() - oldest[0][1] / 1000 if oldest else 0.0
        if waited_s > OVERDUE_S:
            overdue.append(promised("work-overdue", f"{due_set}: for {waited_s:,.0f} s"))
    return overdue or [fine("work", "nothing has been due for long")]


async def check_tenants(redis: Redis) -> Finding:
    """Whether there is anybody to serve."""
    count = int(await redis.scard(keys.TENANTS))  # type: ignore[misc] # redis-py types it for both kinds of client
    return fine("tenants", f"{count} in Redis") if count else promised("tenants-none")


async def read_canary(redis: Redis) -> bytes | None:
    """The canary that the first process left; None where none has run."""
    canary: bytes | None = await redis.get(keys.CANARY)
    return canary


async def has_keys(redis: Redis, tenant_id: str) -> bool:
    """Whether Redis knows a key of a tenant."""
    return bool(await redis.hlen(keys.tenant_keys(tenant_id)))  # type: ignore[misc] # as above
