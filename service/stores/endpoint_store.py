"""Registered callback endpoints, one JSON text each, with their secrets encrypted."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

from pydantic_core import from_json

from service.domain.endpoints import MAX_ENDPOINTS, Endpoint, Secret
from service.domain.errors import NotFound, TooMany
from service.domain.json_forms import json_bytes
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.scripts import Scripts

Changed = Literal["changed", "stale", "gone"]
"""What came of a change: written; not, because somebody else was first; or not, because there is no such endpoint."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of an endpoint; `id` is the same for everybody who is told."""

    type: str
    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """An endpoint as it was read, with the text that a change compares with."""

    endpoint: Endpoint
    raw: bytes


@lru_cache(4_096)
def endpoint_of(raw: bytes) -> Endpoint:
    """Read an endpoint from its JSON. Those read last are remembered: each delivery reads its own."""
    values = from_json(raw)
    known = {name: values[name] for name in Endpoint.__slots__ if name in values}
    # An older version wrote the bare secrets.
    secrets = tuple(Secret(one) if isinstance(one, str) else Secret(**one) for one in values["secrets"])
    return Endpoint(**known | {"events": tuple(values["events"]), "secrets": secrets})


class EndpointStore:
    """Endpoints in Redis. Every method raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands, scripts: Scripts, now_ms: Callable[[], int] | None = None) -> None:
        self._commands = commands
        self._scripts = scripts
        self._now_ms = now_ms

    async def add(self, endpoint: Endpoint) -> None:
        """Store a new endpoint; events from now on go to it. Raises `NotFound` (tenant) or `TooMany`."""
        answer = await self._scripts.run(
            "add_bounded",
            keys=[keys.tenant(endpoint.tenant), keys.tenant_endpoints(endpoint.tenant)],
            args=[endpoint.id, json_bytes(asdict(endpoint)), MAX_ENDPOINTS],
        )
        if answer == b"no tenant":
            raise NotFound(f"tenant {endpoint.tenant} does not exist")
        if answer == b"full":
            raise TooMany(f"tenant {endpoint.tenant} has {MAX_ENDPOINTS} endpoints already; delete one first")

    async def get(self, tenant_id: str, endpoint_id: str) -> Endpoint | None:
        """One endpoint of a tenant, or None."""
        stored = await self.read(tenant_id, endpoint_id)
        return stored.endpoint if stored else None

    async def read(self, tenant_id: str, endpoint_id: str) -> Stored | None:
        """One endpoint of a tenant, to be changed, or None."""
        raw = await self._commands("HGET", keys.tenant_endpoints(tenant_id), endpoint_id)
        return Stored(endpoint_of(raw), raw) if raw else None

    async def change(
        self, stored: Stored, after: Endpoint | None, *, afresh: bool, message: Message | None = None
    ) -> Changed:
        """Replace an endpoint, or delete it (None), if it still is as it was read.

        `afresh` forgets its health and has what waits for it looked at again at once. A `message` about it is logged
        and owed to the tenant's other endpoints, in the same step.
        """
        before = stored.endpoint
        outcome, *_ = await self._scripts.run(
            "change_endpoint",
            keys=[
                keys.tenant_endpoints(before.tenant),
                keys.due("deliver"),
                keys.tenant_deliveries(before.tenant),
                keys.tenant_events(before.tenant),
            ],
            args=[
                before.id,
                stored.raw,
                json_bytes(asdict(after)) if after else "",
                int(afresh),
                keys.LANE_PREFIX,
                keys.DELIVERY_PREFIX,
                keys.DELIVERY_MS,
                "" if self._now_ms is None else self._now_ms(),
                message.type if message else "",
                message.id if message else "",
                message.body if message else "",
                before.tenant,
                keys.EVENTS,
                keys.UNFINISHED_MS,
            ],
        )
        changed: Changed = outcome.decode()
        return changed

    async def list(self, tenant_id: str) -> list[Endpoint]:
        """Every endpoint of a tenant, oldest first (ids sort by time)."""
        stored = await self._commands("HGETALL", keys.tenant_endpoints(tenant_id))
        return sorted((endpoint_of(raw) for raw in pairs(stored).values()), key=lambda endpoint: endpoint.id)
