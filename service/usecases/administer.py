"""What operators do: create tenants and keys, revoke keys. Shared by every way of doing it."""

from collections.abc import Callable
from dataclasses import dataclass

from uuid_utils import uuid7

from service.domain.api_keys import digest, mint_api_key
from service.domain.callback_address import CallbackPolicy
from service.domain.tenants import ApiKey, Tenant, TenantState, check_name, check_tenant_id
from service.domain.webhook_signature import new_secret
from service.stores.tenant_store import TenantStore


@dataclass(frozen=True, slots=True)
class Administer:
    """The use cases on tenants. Every one raises `StoreUnavailable` when Redis is away."""

    tenants: TenantStore
    callbacks: CallbackPolicy
    clock: Callable[[], float]

    async def create_tenant(self, tenant_id: str, name: str, callback_allow: str | None = None) -> Tenant:
        """Create a tenant. Raises `InvalidInput` or `AlreadyExists`."""
        self.callbacks.replaced_by(callback_allow)
        tenant = Tenant(
            id=check_tenant_id(tenant_id),
            name=check_name(name or tenant_id),
            state=TenantState.ACTIVE,
            created_at_ms=int(self.clock() * 1000),
            callback_allow=callback_allow,
        )
        await self.tenants.create(tenant, new_secret())
        return tenant

    async def create_key(self, tenant_id: str, name: str) -> tuple[ApiKey, str]:
        """Issue a key; its text is returned here and never again. Raises `NotFound`, `InvalidInput` or `TooMany`."""
        text = mint_api_key()
        key = ApiKey(f"key_{uuid7().hex}", tenant_id, check_name(name), int(self.clock() * 1000))
        await self.tenants.add_api_key(key, digest(text))
        return key, text

    async def revoke_key(self, tenant_id: str, key_id: str) -> None:
        """Make a key useless within the cache's few seconds. Raises `NotFound`."""
        await self.tenants.revoke_api_key(tenant_id, key_id)
