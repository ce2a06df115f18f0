"""Tenants and their API keys. Of a key only the SHA-256 is stored."""

from service.domain.errors import AlreadyExists, NotFound, TooMany
from service.domain.tenants import MAX_API_KEYS, ApiKey, Tenant, TenantState
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.encryption import Encryption
from service.stores.scripts import Scripts


def _tenant(record: dict[bytes, bytes]) -> Tenant:
    """Read a tenant from its hash."""
    allow = record.get(b"callback_allow")
    return Tenant(
        id=record[b"id"].decode(),
        name=record[b"name"].decode(),
        state=TenantState(record[b"state"].decode()),
        created_at_ms=int(record[b"created_at_ms"]),
        callback_allow=None if allow is None else allow.decode(),
    )


class TenantStore:
    """Tenants in Redis. Every method raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands, scripts: Scripts, encryption: Encryption) -> None:
        self._commands = commands
        self._scripts = scripts
        self._encryption = encryption

    async def create(self, tenant: Tenant, callback_secret: str) -> None:
        """Store a new tenant, with the secret that signs its per-request callbacks. Raises `AlreadyExists`."""
        record: list[str | bytes | int] = [
            "v",
            "1",
            "id",
            tenant.id,
            "name",
            tenant.name,
            "state",
            tenant.state.value,
            "created_at_ms",
            tenant.created_at_ms,
            "callback_secret",
            self._encryption.encrypt(callback_secret),
        ]
        if tenant.callback_allow is not None:
            record += ["callback_allow", tenant.callback_allow]
        created = await self._scripts.run(
            "create_tenant", keys=[keys.tenant(tenant.id), keys.TENANTS], args=[tenant.id, *record]
        )
        if not created:
            raise AlreadyExists(f"tenant {tenant.id} already exists")

    async def get(self, tenant_id: str) -> Tenant:
        """One tenant. Raises `NotFound`."""
        record = await self._commands("HGETALL", keys.tenant(tenant_id))
        if not record:
            raise NotFound(f"tenant {tenant_id} does not exist")
        return _tenant(pairs(record))

    async def list(self) -> list[Tenant]:
        """Every tenant, by id."""
        ids = await self._commands("SMEMBERS", keys.TENANTS)
        return [await self.get(tenant_id) for tenant_id in sorted(raw.decode() for raw in ids)]

    async def callback_secret(self, tenant_id: str) -> str:
        """The secret that signs this tenant's per-request callbacks. Raises `NotFound` or `WrongEncryptionKey`."""
        stored = await self._commands("HGET", keys.tenant(tenant_id), "callback_secret")
        if stored is None:
            raise NotFound(f"tenant {tenant_id} does not exist")
        return self._encryption.decrypt(stored)

    async def add_api_key(self, key: ApiKey, digest: str) -> None:
        """Store a key by its digest. Raises `NotFound` for an unknown tenant, `TooMany` past `MAX_API_KEYS`."""
        record: list[str | int] = [
            "v",
            "1",
            "id",
            key.id,
            "tenant",
            key.tenant,
            "name",
            key.name,
            "created_at_ms",
            key.created_at_ms,
        ]
        answer = await self._scripts.run(
            "add_bounded",
            keys=[keys.tenant(key.tenant), keys.tenant_keys(key.tenant), keys.api_key(digest)],
            args=[key.id, digest, MAX_API_KEYS, *record],
        )
        if answer == b"no tenant":
            raise NotFound(f"tenant {key.tenant} does not exist")
        if answer == b"full":
            raise TooMany(f"tenant {key.tenant} has {MAX_API_KEYS} keys already; revoke one first")

    async def revoke_api_key(self, tenant_id: str, key_id: str) -> None:
        """Forget a key; caches let go of it within their few seconds. Raises `NotFound`."""
        revoked = await self._scripts.run(
            "revoke_key", keys=[keys.tenant_keys(tenant_id)], args=[key_id, keys.API_KEY_PREFIX]
        )
        if not revoked:
            raise NotFound(f"tenant {tenant_id} has no key {key_id}")

    async def find_by_digest(self, digest: str) -> Tenant | None:
        """The tenant an API key belongs to, or None when the key is unknown or revoked: one round trip."""
        flat = await self._scripts.run("authenticate", keys=[keys.api_key(digest)], args=[keys.TENANT_PREFIX])
        return _tenant(pairs(flat)) if flat else None
