"""Register a callback endpoint: check where it points, give it a secret, show that secret once."""

from collections.abc import Callable
from dataclasses import dataclass

from uuid_utils import uuid7

from service.domain.callback_address import CallbackPolicy
from service.domain.endpoints import MAX_DESCRIPTION, Endpoint, check_events
from service.domain.errors import FieldError, InvalidInput
from service.domain.tenants import Tenant
from service.domain.webhook_signature import new_secret
from service.stores.encryption import Encryption
from service.stores.endpoint_store import EndpointStore


@dataclass(frozen=True, slots=True)
class RegisterEndpoint:
    """The use case, for HTTP and the command line alike."""

    endpoints: EndpointStore
    encryption: Encryption
    callbacks: CallbackPolicy
    clock: Callable[[], float]

    async def __call__(
        self, tenant: Tenant, url: str, events: list[str], description: str = ""
    ) -> tuple[Endpoint, str]:
        """Return the endpoint and its secret, which is not to be had again.

        Raises `CallbackDenied`, `InvalidInput`, `TooMany`, `NotFound` (tenant) or `StoreUnavailable`.
        """
        self.callbacks.replaced_by(tenant.callback_allow).check_url(url)
        if len(description) > MAX_DESCRIPTION:
            raise InvalidInput([FieldError("description", f"must be at most {MAX_DESCRIPTION} characters")])
        secret = new_secret()
        endpoint = Endpoint(
            id=f"ep_{uuid7().hex}",
            tenant=tenant.id,
            url=url,
            events=check_events(events),
            description=description,
            created_at_ms=int(self.clock() * 1000),
            secrets=(self.encryption.encrypt(secret).decode(),),
        )
        await self.endpoints.add(endpoint)
        return endpoint, secret
