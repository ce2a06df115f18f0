"""A tenant: an internal team that calls the gateway."""

import re
from dataclasses import dataclass
from enum import StrEnum

from service.domain.errors import FieldError, InvalidInput

_TENANT_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAX_NAME = 100
"""Longest display name, in characters."""

MAX_API_KEYS = 100
"""API keys a tenant may have at once."""


class TenantState(StrEnum):
    """Whether a tenant may submit."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One team: who it is and what it may do. `callback_allow` None means the global policy."""

    id: str
    name: str
    state: TenantState
    created_at_ms: int
    callback_allow: str | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an issued key; the key itself is not."""

    id: str
    tenant: str
    name: str
    created_at_ms: int


def check_tenant_id(tenant_id: str) -> str:
    """Return the id, or raise `InvalidInput`: 1 to 63 of a-z, 0-9 and inner hyphens (it becomes a metric label)."""
    if not _TENANT_ID.fullmatch(tenant_id):
        raise InvalidInput([FieldError("tenant", "must be 1 to 63 of a-z, 0-9 and hyphens, not at either end")])
    return tenant_id


def check_name(name: str, field: str = "name") -> str:
    """Return the display name, or raise `InvalidInput`: 1 to 100 printable characters."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput([FieldError(field, f"must be 1 to {MAX_NAME} printable characters")])
    return name
