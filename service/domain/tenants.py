"""A tenant: an internal team that calls the gateway, what it may do, and the keys it does it with."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from service.domain.errors import FieldError, InvalidInput
from service.domain.limits import Limits

_TENANT_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAX_NAME = 100
"""Longest display name, in characters."""

PRINTABLE = "printable"
"""What a schema calls the format of a name: nothing in it but printable characters, and not blanks alone."""

MAX_API_KEYS = 100
"""API keys a tenant may have at once."""


class TenantState(StrEnum):
    """Whether a tenant may submit."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One team: who it is and what it may do.

    `callback_allow` None means the global policy, `models` None every model of the catalogue (else patterns such as
    `openai/*`). `managed` names the fields that a tenants file sets, by path (`limits.daily`).
    """

    id: str
    name: str
    state: TenantState
    created_at_ms: int
    callback_allow: str | None = None
    limits: Limits = field(default_factory=Limits)
    models: tuple[str, ...] | None = None
    weight: int = 1
    managed: frozenset[str] = frozenset()

    def may_use(self, model_id: str) -> bool:
        """Whether its list of models names this one; `*` stands for any characters. The admission script decides."""
        return self.models is None or any(_pattern(one).fullmatch(model_id) for one in self.models)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an issued key; the key itself is not. None: never used, never expires."""

    id: str
    tenant: str
    name: str
    created_at_ms: int
    last_used_at_ms: int | None = None
    expires_at_ms: int | None = None


def is_tenant_id(text: str) -> bool:
    """Whether a text can be a tenant's id: 1 to 63 of a-z, 0-9 and inner hyphens (it becomes a metric label)."""
    return _TENANT_ID.fullmatch(text) is not None


def check_tenant_id(tenant_id: str) -> str:
    """Return the id of a tenant to be made, or raise `InvalidInput`."""
    if not is_tenant_id(tenant_id):
        raise InvalidInput([FieldError("tenant", "must be 1 to 63 of a-z, 0-9 and hyphens, not at either end")])
    return tenant_id


def check_name(name: str, field: str = "name") -> str:
    """Return the display name, or raise `InvalidInput`: 1 to 100 printable characters."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput([FieldError(field, f"must be 1 to {MAX_NAME} printable characters")])
    return name
