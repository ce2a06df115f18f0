"""Register a callback endpoint: check where it points, give it a secret, show that secret once."""

from collections.abc import Callable
from dataclasses import dataclass

from uuid_utils import uuid7

from service.domain.callback_address import CallbackPolicy
from service.domain.endpoints import Endpoint, Secret, check_description, check_events
from service.domain.tenants import Tenant
from service.domain.webhook_signature import new_secret
from service.stores.encryption import Encryption
from service.stores.endpoint_store import EndpointStore


@dataclass(frozen=True, slots=True)
class RegisterEndpoint:
    """The use case, for HTTP and the command line alike. `never` are the event types that cannot happen here."""

    endpoints: EndpointStore
    encryption: Encryption
    callbacks: CallbackPolicy
    clock: Callable[[], float]
    never: frozenset[str] = frozenset()

    async def __call__(
        self, tenant: Tenant, url: str, events: list[str], description: str = ""
    ) -> tuple[Endpoint, str]:
        """Return the endpoint and its secret, which is not to be had again.

        Raises `CallbackDenied`, `CannotFire`, `InvalidInput`, `TooMany`, `NotFound` (tenant) or `StoreUnavailable`.
        """
        self.callbacks.replaced_by(tenant.callback_allow).check_url(url)
        secret = new_secret()
        endpoint = Endpoint(
            id=f"ep_{uuid7().hex}",
            tenant=tenant.id,
            url=url,
            events=check_events(events, self.never),
            description=check_description(description),
            created_at_ms=int(self.clock() * 1000),
            secrets=(Secret(self.encryption.encrypt(secret).decode()),),
        )
        await self.endpoints.add(endpoint)
        return endpoint, secret
