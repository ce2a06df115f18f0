"""API keys in Redis. Of a key only the SHA-256 is stored."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.domain.errors import AlreadyExists, NotFound, TooMany
from service.domain.tenants import MAX_API_KEYS, ApiKey, Tenant, is_tenant_id
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.scripts import Scripts
from service.stores.tenant_store import tenant_key, tenant_of

LAST_USED_EVERY_MS: Final = 60_000
"""How exactly the last use of a key is known."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The tenant a key belongs to, and for how many seconds the key is still good (None: for ever)."""

    tenant: Tenant
    expires_in_s: float | None


def _api_key(record: dict[bytes, bytes]) -> ApiKey:
    """Read an API key from its hash."""
    used, expires = record.get(b"last_used_at_ms"), record.get(b"expires_at_ms")
    return ApiKey(
        id=record[b"id"].decode(),
        tenant=record[b"tenant"].decode(),
        name=record[b"name"].decode(),
        created_at_ms=int(record[b"created_at_ms"]),
        last_used_at_ms=None if used is None else int(used),
        expires_at_ms=None if expires is None else int(expires),
    )


class ApiKeyStore:
    """API keys in Redis. Every method raises `StoreUnavailable` when Redis is away.

    `now_ms` replaces the server's clock in tests.
    """

    def __init__(self, commands: Commands, scripts: Scripts, now_ms: Callable[[], int] | None = None) -> None:
        self._commands = commands
        self._scripts = scripts
        self._now_ms = now_ms

    async def add(self, key: ApiKey, digest: str) -> None:
        """Store a key by its digest; one of that id which is there already stays as it is.

        A key that the tenant has under another id takes this id and name. Raises `NotFound` for an unknown tenant,
        `TooMany` past `MAX_API_KEYS`, `AlreadyExists` for another tenant's key.
        """
        record: list[str | int] = ["v", "1", "id", key.id, "tenant", key.tenant, "name", key.name]
        record += ["created_at_ms", key.created_at_ms]
        if key.expires_at_ms is not None:
            record += ["expires_at_ms", key.expires_at_ms]
        answer = await self._scripts.run(
            "add_bounded",
            keys=[tenant_key(key.tenant), keys.tenant_keys(key.tenant), keys.api_key(digest)],
            args=[key.id, digest, MAX_API_KEYS, *record],
        )
        if answer == b"no tenant":
            raise NotFound(f"tenant {key.tenant} does not exist")
        if answer == b"taken":
            raise AlreadyExists(f"the key {key.name} of tenant {key.tenant} is another tenant's key already")
        if answer == b"full":
            raise TooMany(f"tenant {key.tenant} has {MAX_API_KEYS} keys already; revoke one first")

    async def list(self, tenant_id: str) -> list[ApiKey]:
        """A tenant's keys, oldest first."""
        digests = pairs(await self._commands("HGETALL", keys.tenant_keys(tenant_id))).values()
        records = await asyncio.gather(
            *(self._commands("HGETALL", keys.api_key(digest.decode())) for digest in digests)
        )
        return sorted((_api_key(pairs(record)) for record in records if record), key=lambda key: key.created_at_ms)

    async def revoke(self, tenant_id: str, key_id: str) -> None:
        """Forget a key; caches let go of it within their few seconds. Raises `NotFound`."""
        revoked = is_tenant_id(tenant_id) and await self._scripts.run(
            "revoke_key", keys=[keys.tenant_keys(tenant_id)], args=[key_id, keys.API_KEY_PREFIX]
        )
        if not revoked:
            raise NotFound(f"tenant {tenant_id} has no key {key_id}")

    async def find_owner(self, digest: str) -> Owner | None:
        """The tenant an API key belongs to, or None when the key is unknown, revoked or expired: one round trip.

        The use is noted in the key's record, to the minute.
        """
        answer = await self._scripts.run(
            "authenticate",
            keys=[keys.api_key(digest)],
            args=[keys.TENANT_PREFIX, LAST_USED_EVERY_MS, "" if self._now_ms is None else self._now_ms()],
        )
        if not answer:
            return None
        expires_in_ms, *record = answer
        return Owner(tenant_of(pairs(record)), None if expires_in_ms < 0 else expires_in_ms / 1000)
