"""Tenants in Redis: who they are, what they may do, and the secret that signs their per-request callbacks."""

import asyncio
from typing import Final

from pydantic_core import from_json

from service.domain.errors import AlreadyExists, Conflict, NotFound
from service.domain.json_forms import json_bytes
from service.domain.limits import NUMBERS, Limits
from service.domain.tenants import Tenant, TenantState, is_tenant_id
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.encryption import Encryption
from service.stores.scripts import Scripts

_OPTIONAL: Final = ("callback_allow", "models", "shadow", "managed", *NUMBERS)
"""Fields that are absent when they say nothing; an update takes away those it does not set."""

_READ_TOGETHER: Final = 500
"""How many tenants are read at once: more commands than may wait for Redis would be refused."""


def tenant_of(record: dict[bytes, bytes]) -> Tenant:
    """Read a tenant from its hash."""
    allow, models = record.get(b"callback_allow"), record.get(b"models")
    numbers = {name: int(record[name.encode()]) for name in NUMBERS if name.encode() in record}
    shadow = record.get(b"shadow", b"").decode()
    return Tenant(
        id=record[b"id"].decode(),
        name=record[b"name"].decode(),
        state=TenantState(record[b"state"].decode()),
        created_at_ms=int(record[b"created_at_ms"]),
        callback_allow=None if allow is None else allow.decode(),
        limits=Limits(**numbers, shadow=frozenset(shadow.split(",")) if shadow else frozenset()),  # type: ignore[arg-type] # limit names are written by us
        models=None if models is None else tuple(from_json(models)),
        weight=int(record.get(b"weight", b"1")),
        managed=frozenset(from_json(record.get(b"managed", b"[]"))),
    )


def _record_of(tenant: Tenant) -> list[str | bytes | int]:
    """What an operator decides about a tenant, as Redis holds it: field, value, ..."""
    record: list[str | bytes | int] = ["name", tenant.name, "weight", tenant.weight]
    for name, value in tenant.limits.numbers.items():
        record += [name, value]
    if tenant.limits.shadow:
        record += ["shadow", ",".join(sorted(tenant.limits.shadow))]
    if tenant.models is not None:
        record += ["models", json_bytes(tenant.models)]
    if tenant.callback_allow is not None:
        record += ["callback_allow", tenant.callback_allow]
    if tenant.managed:
        record += ["managed", json_bytes(sorted(tenant.managed))]
    return record


def tenant_key(tenant_id: str) -> str:
    """The key of a tenant that may exist. Raises `NotFound` for an id no tenant can have: it could name another key."""
    if not is_tenant_id(tenant_id):
        raise NotFound(f"tenant {tenant_id[:63]!r} does not exist")
    return keys.tenant(tenant_id)


class TenantStore:
    """Tenants in Redis. Every method raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands, scripts: Scripts, encryption: Encryption) -> None:
        self._commands = commands
        self._scripts = scripts
        self._encryption = encryption

    async def create(self, tenant: Tenant, callback_secret: str) -> None:
        """Store a new tenant, with the secret that signs its per-request callbacks. Raises `AlreadyExists`."""
        first = ["v", "1", "id", tenant.id, "state", tenant.state.value, "created_at_ms", tenant.created_at_ms]
        created = await self._scripts.run(
            "create_tenant",
            keys=[keys.tenant(tenant.id), keys.TENANTS],
            args=[
                tenant.id,
                *first,
                "callback_secret",
                self._encryption.encrypt(callback_secret),
                *_record_of(tenant),
            ],
        )
        if not created:
            raise AlreadyExists(f"tenant {tenant.id} already exists")

    async def update(self, tenant: Tenant) -> None:
        """Replace what operators decide about a tenant; its state and secret stay. Raises `NotFound`."""
        updated = await self._scripts.run(
            "update_tenant", keys=[keys.tenant(tenant.id)], args=[len(_OPTIONAL), *_OPTIONAL, *_record_of(tenant)]
        )
        if not updated:
            raise NotFound(f"tenant {tenant.id} does not exist")

    async def set_state(self, tenant_id: str, state: TenantState) -> None:
        """Suspend a tenant or let it submit again. Raises `NotFound`."""
        updated = await self._scripts.run("update_tenant", keys=[tenant_key(tenant_id)], args=[0, "state", state.value])
        if not updated:
            raise NotFound(f"tenant {tenant_id} does not exist")

    async def delete(self, tenant_id: str) -> None:
        """Forget a tenant with its keys and endpoints; its ledger and usage stay for their lifetime.

        Raises `NotFound`, or `Conflict` while it has predictions that have not ended.
        """
        answer = await self._scripts.run(
            "delete_tenant",
            keys=[
                tenant_key(tenant_id),
                keys.TENANTS,
                keys.tenant_keys(tenant_id),
                keys.tenant_endpoints(tenant_id),
                keys.tenant_slots(tenant_id),
            ],
            args=[tenant_id, keys.API_KEY_PREFIX],
        )
        if answer == b"no tenant":
            raise NotFound(f"tenant {tenant_id} does not exist")
        if answer != b"deleted":
            raise Conflict(
                f"tenant {tenant_id} has {int(answer)} predictions that have not ended; suspend it and wait for them"
            )

    async def get(self, tenant_id: str) -> Tenant:
        """One tenant. Raises `NotFound`."""
        record = await self._commands("HGETALL", tenant_key(tenant_id))
        if not record:
            raise NotFound(f"tenant {tenant_id} does not exist")
        return tenant_of(pairs(record))

    async def list(self) -> list[Tenant]:
        """Every tenant, by id."""
        ids = sorted(await self._commands("SMEMBERS", keys.TENANTS))
        records: list[list[bytes]] = []
        for first in range(0, len(ids), _READ_TOGETHER):
            some = ids[first : first + _READ_TOGETHER]
            records += await asyncio.gather(*(self._commands("HGETALL", keys.tenant(raw.decode())) for raw in some))
        return [tenant_of(pairs(record)) for record in records if record]  # one may just have been deleted

    async def callback_secret(self, tenant_id: str) -> str:
        """The secret that signs this tenant's per-request callbacks. Raises `NotFound` or `WrongEncryptionKey`."""
        stored = await self._commands("HGET", tenant_key(tenant_id), "callback_secret")
        if stored is None:
            raise NotFound(f"tenant {tenant_id} does not exist")
        return self._encryption.decrypt(stored)
