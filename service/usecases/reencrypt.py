"""Put every stored secret under the newest encryption key, so that older keys can be taken away."""

from dataclasses import dataclass, replace

import structlog

from service.stores import keys
from service.stores.commands import Commands
from service.stores.encryption import Encryption, WrongEncryptionKey
from service.stores.endpoint_store import EndpointStore
from service.stores.scripts import Scripts
from service.stores.tenant_store import TenantStore

log = structlog.get_logger()

_UPSTREAM_FIELDS = ("current", "previous")


@dataclass(slots=True)
class Reencrypted:
    """How many secrets are under the newest key now, and which could not be read with any; those stay as they are."""

    done: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Reencrypt:
    """The use case. It can be repeated; what changes meanwhile is left to its writer, who has the newest key."""

    tenants: TenantStore
    endpoints: EndpointStore
    encryption: Encryption
    commands: Commands
    scripts: Scripts

    async def __call__(self) -> Reencrypted:
        """Go through all of them. Raises `StoreUnavailable`; what was done by then stays done."""
        result = Reencrypted()
        for tenant in await self.tenants.list():
            await self._field(keys.tenant(tenant.id), "callback_secret", result)
            for endpoint in await self.endpoints.list(tenant.id):
                await self._endpoint(tenant.id, endpoint.id, result)
        for field in _UPSTREAM_FIELDS:
            await self._field(keys.UPSTREAM_SECRET, field, result)
        await self.encryption.renew_canary(self.commands)
        return result

    async def _field(self, key: str, field: str, result: Reencrypted) -> None:
        """One secret that is a field of a hash."""
        stored = await self.commands("HGET", key, field)
        if not stored:
            return
        if (renewed := self._renewed(stored.decode(), result, field)) is None:
            return
        await self.scripts.run("swap_field", keys=[key], args=[field, stored, renewed])

    async def _endpoint(self, tenant_id: str, endpoint_id: str, result: Reencrypted) -> None:
        """The secrets of one endpoint."""
        stored = await self.endpoints.read(tenant_id, endpoint_id)
        if stored is None:
            return
        renewed = tuple(
            replace(secret, encrypted=self._renewed(secret.encrypted, result, endpoint_id) or secret.encrypted)
            for secret in stored.endpoint.secrets
        )
        await self.endpoints.change(stored, replace(stored.endpoint, secrets=renewed), afresh=False)

    def _renewed(self, token: str, result: Reencrypted, what: str) -> str | None:
        """A secret under the newest key; None, and counted, when no key reads it."""
        try:
            renewed = self.encryption.renew(token)
        except WrongEncryptionKey:
            log.warning("a secret that no key reads", of=what)
            result.unreadable += 1
            return None
        result.done += 1
        return renewed
