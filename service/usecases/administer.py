"""What operators do to tenants and their keys; every way of doing it comes here, and leaves a line in the audit log."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from uuid_utils import uuid7

from service.domain.api_keys import digest, mint_api_key
from service.domain.callback_address import CallbackPolicy
from service.domain.errors import Conflict, NotFound
from service.domain.tenant_spec import TenantSpec, difference
from service.domain.tenants import ApiKey, Tenant, TenantState, check_name, check_tenant_id
from service.domain.timestamps import rfc3339
from service.domain.webhook_signature import new_secret
from service.stores.api_key_store import ApiKeyStore
from service.stores.audit_log import AuditEntry, AuditLog
from service.stores.tenant_store import TenantStore


@dataclass(frozen=True, slots=True)
class Administer:
    """The use cases, for one `actor` (`cli`, `admin api`, `tenants file`). Every one raises `StoreUnavailable`."""

    tenants: TenantStore
    keys: ApiKeyStore
    audit: AuditLog
    callbacks: CallbackPolicy
    clock: Callable[[], float]
    actor: str = "cli"

    def by(self, actor: str) -> "Administer":
        """The same use cases for another actor."""
        return replace(self, actor=actor)

    async def create_tenant(
        self, tenant_id: str, spec: TenantSpec | None = None, managed: frozenset[str] = frozenset()
    ) -> Tenant:
        """Create a tenant. Raises `InvalidInput` or `AlreadyExists`."""
        new = Tenant(check_tenant_id(tenant_id), tenant_id, TenantState.ACTIVE, int(self.clock() * 1000))
        tenant = self._checked((spec or TenantSpec()).applied_to(replace(new, managed=managed)))
        await self.tenants.create(tenant, new_secret())
        await self._note("tenant.create", tenant.id, (spec or TenantSpec()).model_dump(exclude_defaults=True))
        return tenant

    async def put_tenant(self, tenant_id: str, spec: TenantSpec, *, force: bool = False) -> tuple[Tenant, bool]:
        """Make a tenant what `spec` says; return it, and whether it is new.

        Raises `InvalidInput`, or `Conflict` when that changes a field which a tenants file manages (unless `force`).
        """
        try:
            before = await self.tenants.get(check_tenant_id(tenant_id))
        except NotFound:
            return await self.create_tenant(tenant_id, spec), True
        return await self.update_tenant(before, spec, before.managed, force=force), False

    async def update_tenant(
        self, before: Tenant, spec: TenantSpec, managed: frozenset[str], *, force: bool = False
    ) -> Tenant:
        """Make an existing tenant what `spec` says, with these fields marked as managed by a file."""
        after = self._checked(spec.applied_to(replace(before, managed=managed)))
        changes = difference(before, after)
        kept = sorted(change.field for change in changes if change.field in before.managed)
        if kept and not force:
            raise Conflict(f"{', '.join(kept)}: managed by the tenants file; change it there, or force it")
        if changes or managed != before.managed:
            await self.tenants.update(after)
            await self._note("tenant.update", before.id, {c.field: [c.before, c.after] for c in changes})
        return after

    async def set_suspended(self, tenant_id: str, suspended: bool) -> Tenant:
        """Suspend a tenant (its submissions are refused, everything else goes on), or end that. Raises `NotFound`."""
        await self.tenants.set_state(tenant_id, TenantState.SUSPENDED if suspended else TenantState.ACTIVE)
        await self._note("tenant.suspend" if suspended else "tenant.resume", tenant_id, {})
        return await self.tenants.get(tenant_id)

    async def delete_tenant(self, tenant_id: str) -> None:
        """Forget a tenant, its keys and endpoints. Raises `NotFound`, or `Conflict` while predictions go on."""
        await self.tenants.delete(tenant_id)
        await self._note("tenant.delete", tenant_id, {})

    async def create_key(self, tenant_id: str, name: str, expires_in_s: float | None = None) -> tuple[ApiKey, str]:
        """Issue a key; its text is returned here and never again. Raises `NotFound`, `InvalidInput` or `TooMany`."""
        text = mint_api_key()
        now_ms = int(self.clock() * 1000)
        expires_at_ms = None if expires_in_s is None else now_ms + int(expires_in_s * 1000)
        key = ApiKey(f"key_{uuid7().hex}", tenant_id, check_name(name), now_ms, expires_at_ms=expires_at_ms)
        await self.keys.add(key, digest(text))
        expires = None if expires_at_ms is None else rfc3339(expires_at_ms)
        await self._note("key.create", tenant_id, {"key": key.id, "name": name, "expires_at": expires})
        return key, text

    async def add_key_by_digest(self, tenant_id: str, name: str, key_digest: str) -> ApiKey:
        """Let in a key of which only the SHA-256 is known. Raises like `create_key`, and `AlreadyExists`."""
        key = ApiKey(key_id_of(name, key_digest), tenant_id, check_name(name), int(self.clock() * 1000))
        await self.keys.add(key, key_digest)
        await self._note("key.create", tenant_id, {"key": key.id, "name": name})
        return key

    async def list_keys(self, tenant_id: str) -> list[ApiKey]:
        """A tenant's keys, oldest first. Raises `NotFound`."""
        return await self.keys.list((await self.tenants.get(tenant_id)).id)

    async def revoke_key(self, tenant_id: str, key_id: str) -> None:
        """Make a key useless within the cache's few seconds. Raises `NotFound`."""
        await self.keys.revoke(tenant_id, key_id)
        await self._note("key.revoke", tenant_id, {"key": key_id})

    def _checked(self, tenant: Tenant) -> Tenant:
        """The tenant, if its callback list can be used. Raises `InvalidInput`."""
        self.callbacks.replaced_by(tenant.callback_allow)
        return tenant

    async def _note(self, action: str, tenant_id: str, detail: dict[str, Any]) -> None:
        """Write the audit line of something done."""
        await self.audit.append(AuditEntry(rfc3339(int(self.clock() * 1000)), self.actor, action, tenant_id, detail))


MANAGED_KEY_PREFIX = "key_file_"
"""What the ids of keys begin with that a tenants file lists."""


def key_id_of(name: str, key_digest: str) -> str:
    """The id of a key that a tenants file lists: the same whenever the file is applied."""
    return MANAGED_KEY_PREFIX + sha256(f"{name}:{key_digest}".encode()).hexdigest()[:24]
