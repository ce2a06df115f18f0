"""Registered callback endpoints, one JSON text each, with their secrets encrypted."""

from dataclasses import asdict

from pydantic_core import from_json

from service.domain.endpoints import MAX_ENDPOINTS, Endpoint
from service.domain.errors import NotFound, TooMany
from service.domain.predictions import json_bytes
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.scripts import Scripts


def _endpoint(raw: bytes) -> Endpoint:
    """Read an endpoint from its JSON."""
    values = from_json(raw)
    known = {name: values[name] for name in Endpoint.__slots__ if name in values}
    return Endpoint(**known | {"events": tuple(values["events"]), "secrets": tuple(values["secrets"])})


class EndpointStore:
    """Endpoints in Redis. Every method raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands, scripts: Scripts) -> None:
        self._commands = commands
        self._scripts = scripts

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
        raw = await self._commands("HGET", keys.tenant_endpoints(tenant_id), endpoint_id)
        return _endpoint(raw) if raw else None

    async def list(self, tenant_id: str) -> list[Endpoint]:
        """Every endpoint of a tenant, oldest first (ids sort by time)."""
        stored = await self._commands("HGETALL", keys.tenant_endpoints(tenant_id))
        return sorted((_endpoint(raw) for raw in pairs(stored).values()), key=lambda endpoint: endpoint.id)
