"""What operators did: the newest administrative actions, bounded."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import from_json

from service.domain.json_forms import json_bytes
from service.stores import keys
from service.stores.commands import Commands


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which tenant, and when (RFC 3339). `detail` never holds a key or a secret."""

    at: str
    actor: str
    action: str
    tenant: str
    detail: dict[str, Any]


class AuditLog:
    """The log in Redis: `AUDIT_ENTRIES` at most, the oldest leave first. Raises `StoreUnavailable`."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def append(self, entry: AuditEntry) -> None:
        """Add one entry."""
        await asyncio.gather(
            self._commands("LPUSH", keys.AUDIT, json_bytes(asdict(entry))),
            self._commands("LTRIM", keys.AUDIT, 0, keys.AUDIT_ENTRIES - 1),
        )

    async def newest(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""
        return [AuditEntry(**from_json(raw)) for raw in await self._commands("LRANGE", keys.AUDIT, 0, limit - 1)]
