"""Change a callback endpoint: what it gets, where, whether at all, and what its messages are signed with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog
from uuid_utils import uuid7

from service.domain.callback_address import CallbackPolicy
from service.domain.endpoints import (
    DisabledBy,
    Endpoint,
    check_description,
    check_events,
    disabled,
    enabled,
    rotated,
)
from service.domain.errors import Conflict, NotFound
from service.domain.representations import endpoint_disabled_body
from service.domain.tenants import Tenant
from service.domain.webhook_signature import new_secret
from service.metrics import Metrics
from service.stores.encryption import Encryption
from service.stores.endpoint_store import EndpointStore, Message
from service.stores.work_schedule import WorkSchedule

_TRIES: Final = 5
"""How often a change is computed again after another writer was first."""

log = structlog.get_logger()

Decide = Callable[[Endpoint, int], Endpoint | None]
"""From an endpoint as it stands, and now in ms, to what it is from now on; None deletes it."""


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """What a team wants to be different; None leaves a thing as it is."""

    url: str | None = None
    events: list[str] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class ChangeEndpoint:
    """The use cases, for HTTP, the command line and the worker alike. `never` are the event types that cannot happen.

    All raise `NotFound` for an endpoint that is unknown or another tenant's, `Conflict` when others change it at the
    same time over and over, and `StoreUnavailable`.
    """

    endpoints: EndpointStore
    schedule: WorkSchedule
    encryption: Encryption
    callbacks: CallbackPolicy
    metrics: Metrics
    clock: Callable[[], float]
    never: frozenset[str] = frozenset()

    async def update(
        self, tenant: Tenant, endpoint_id: str, changes: EndpointChanges, by: DisabledBy = "team"
    ) -> Endpoint:
        """Change what is named; the endpoint as it is from now on.

        Another URL, and being enabled, forget what went wrong before. Raises also `CallbackDenied`, `InvalidInput`.
        """
        if changes.url is not None:
            self.callbacks.replaced_by(tenant.callback_allow).check_url(changes.url)
        events = None if changes.events is None else check_events(changes.events, self.never)
        if changes.description is not None:
            check_description(changes.description)

        def decide(before: Endpoint, now_ms: int) -> Endpoint:
            after = replace(
                before,
                url=before.url if changes.url is None else changes.url,
                events=before.events if events is None else events,
                description=before.description if changes.description is None else changes.description,
            )
            if changes.enabled is None:
                return after
            return enabled(after) if changes.enabled else disabled(after, by, now_ms)

        return await self._changed(tenant.id, endpoint_id, decide)

    async def disable(self, tenant_id: str, endpoint_id: str, by: DisabledBy) -> Endpoint:
        """Send it nothing any more; what waits for it goes to the dead letters."""
        return await self._changed(tenant_id, endpoint_id, lambda before, now_ms: disabled(before, by, now_ms))

    async def rotate_secret(self, tenant_id: str, endpoint_id: str) -> tuple[Endpoint, str]:
        """Give it a new secret, shown this once; for 24 hours the older one signs as well."""
        secret = new_secret()
        encrypted = self.encryption.encrypt(secret).decode()
        endpoint = await self._changed(
            tenant_id, endpoint_id, lambda before, now_ms: rotated(before, encrypted, now_ms)
        )
        return endpoint, secret

    async def delete(self, tenant_id: str, endpoint_id: str) -> None:
        """Forget it; what waits for it goes to the dead letters."""
        await self._change(tenant_id, endpoint_id, lambda *_: None)

    async def _changed(self, tenant_id: str, endpoint_id: str, decide: Decide) -> Endpoint:
        """Change it to something."""
        after = await self._change(tenant_id, endpoint_id, decide)
        if after is None:
            raise AssertionError("unreachable: only a deletion leaves nothing")
        return after

    async def _change(self, tenant_id: str, endpoint_id: str, decide: Decide) -> Endpoint | None:
        """Read, decide, compare and set, until nobody else was first."""
        for _ in range(_TRIES):
            stored = await self.endpoints.read(tenant_id, endpoint_id)
            if stored is None:
                break
            before, now_ms = stored.endpoint, int(self.clock() * 1000)
            after = decide(before, now_ms)
            if after == before:
                return after
            falls_silent = after is not None and (before.state, after.state) == ("enabled", "disabled")
            message = _told_of(after, now_ms) if after is not None and falls_silent else None
            afresh = after is None or (before.url, before.state) != (after.url, after.state)
            outcome = await self.endpoints.change(stored, after, afresh=afresh, message=message)
            if outcome == "stale":
                continue
            if outcome == "gone":
                break
            if falls_silent and after is not None:
                self.metrics.endpoints_disabled.labels(after.disabled_by).inc()
                log.warning("endpoint disabled", endpoint=endpoint_id, tenant=tenant_id, by=after.disabled_by)
            if afresh:
                self.schedule.wake("deliver", 0.0)
            return after
        else:
            raise Conflict("the endpoint is being changed by somebody else; try again")
        raise NotFound("endpoint not found")


def _told_of(endpoint: Endpoint, now_ms: int) -> Message:
    """The event that tells the tenant's other endpoints of it."""
    return Message("endpoint.disabled", f"evt_{uuid7().hex}", endpoint_disabled_body(endpoint, now_ms))
