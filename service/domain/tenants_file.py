"""The tenants file: tenants as code, in TOML. A table each, with the fields of the admin API and its keys' digests.

::

    [tenants.acme]
    name = "Acme"
    models = ["openai/*"]
    limits = { rate_per_minute = 60, concurrency = 4, budget_usd = "250.00" }
    keys = { ci = "sha256:<64 hex digits>" }

Only the fields a file names are managed by it. Whether a tenant is suspended is never in a file: that is decided when
something is on fire, not in a review.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.domain.callback_address import CallbackPolicy
from service.domain.errors import BreakwaterError, FieldError, InvalidInput
from service.domain.tenant_spec import TenantSpec, read_spec, unflattened
from service.domain.tenants import MAX_API_KEYS, Tenant, check_name, check_tenant_id

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


class BadTenantsFile(BreakwaterError):
    """The file cannot be used; the text names tenant and field."""


@dataclass(frozen=True, slots=True)
class WrittenTenant:
    """One tenant as the file has it: the fields it names, by path, and its keys (name → SHA-256)."""

    id: str
    fields: Mapping[str, Any]
    keys: Mapping[str, str] = field(default_factory=dict)

    def spec_over(self, current: Tenant | None) -> TenantSpec:
        """What the tenant is to be: the file's fields, and its own where the file says nothing.

        A field the file once named and no longer does goes back to its default.
        """
        defaults = TenantSpec().flat()
        own = TenantSpec.of(current).flat() if current else defaults
        managed = current.managed if current else frozenset()
        merged = {name: defaults[name] if name in managed else value for name, value in own.items()}
        return read_spec(unflattened({**merged, **self.fields}), f"tenants.{self.id}")


def read_tenants_file(text: str) -> list[WrittenTenant]:
    """Read a whole file, tenants in order of id. Raises `BadTenantsFile` for the first thing that is wrong."""
    try:
        parsed = tomllib.loads(text)
        unknown = sorted(set(parsed) - {"tenants"})
        if unknown:
            raise BadTenantsFile(f"{unknown[0]}: the file holds [tenants.ID] tables and nothing else")
        tables = parsed.get("tenants", {})
        if not isinstance(tables, dict):
            raise BadTenantsFile("tenants: must be tables, one a tenant")
        return [_written(tenant_id, tables[tenant_id]) for tenant_id in sorted(tables)]
    except tomllib.TOMLDecodeError as error:
        raise BadTenantsFile(f"not TOML: {error}") from None
    except InvalidInput as error:
        raise BadTenantsFile(str(error)) from None


def check_callbacks(written: Iterable[WrittenTenant], policy: CallbackPolicy) -> None:
    """Raise `BadTenantsFile` naming the first tenant whose callback list cannot be used under the global policy."""
    for tenant in written:
        listed = tenant.fields.get("callback_allow")
        try:
            policy.replaced_by(None if listed is None else ",".join(listed))
        except InvalidInput as wrong:
            raise BadTenantsFile(f"tenants.{tenant.id}.{wrong}") from None


def _written(tenant_id: str, table: Any) -> WrittenTenant:
    """Read one tenant."""
    where = f"tenants.{tenant_id}"
    try:
        check_tenant_id(tenant_id)
    except InvalidInput as wrong:
        raise InvalidInput([FieldError(where, wrong.errors[0].message)]) from None
    if not isinstance(table, dict):
        raise InvalidInput([FieldError(where, "must be a table")])
    values = dict(table)
    keys = _keys(where, values.pop("keys", {}))
    spec = read_spec(values, where)
    if "name" in values:
        check_name(spec.name, f"{where}.name")
    named = spec.model_fields_set - {"limits"} | {f"limits.{name}" for name in spec.limits.model_fields_set}
    return WrittenTenant(tenant_id, {name: value for name, value in spec.flat().items() if name in named}, keys)


def _keys(where: str, keys: Any) -> dict[str, str]:
    """Read the digests of a tenant's keys."""
    if not isinstance(keys, dict) or len(keys) > MAX_API_KEYS:
        raise InvalidInput([FieldError(f"{where}.keys", f"must be at most {MAX_API_KEYS} names, each with a digest")])
    digests = {}
    for name, written in keys.items():
        check_name(name, f"{where}.keys")
        match = _DIGEST.fullmatch(written) if isinstance(written, str) else None
        if match is None:
            raise InvalidInput([FieldError(f"{where}.keys.{name}", "must be sha256: and 64 hex digits, never a key")])
        digests[name] = match[1]
    return digests
