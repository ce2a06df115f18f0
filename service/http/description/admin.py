"""`/admin/v1` described: what operators do to tenants and keys, and what they read."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from openapi_pydantic import Operation, Parameter, PathItem, RequestBody, Response, Schema
from pydantic import BaseModel

from service.domain.api_keys import digest
from service.domain.limits import Limits
from service.domain.tenant_spec import LimitsSpec, TenantSpec
from service.domain.tenants import ApiKey, Tenant, TenantState
from service.domain.timestamps import rfc3339
from service.domain.usage import UsageRow, usage_csv
from service.http.admin.reports import MAX_AUDIT, Audit, AuditShown, Usage, UsageShown
from service.http.admin.tenants import KeyCreated, KeyList, KeyShown, NewKey, TenantList, TenantShown
from service.http.description.operations import (
    EXAMPLE_TIME_MS,
    JSON,
    OPERATORS,
    Links,
    answer,
    json_answer,
    json_body,
    json_media,
    links,
    operation,
    parameter,
    schema_of,
    text_media,
)
from service.http.description.refusals import (
    FIELD_MANAGED,
    KEY_NOT_FOUND,
    NO_OPERATOR,
    STILL_GOING,
    STORE_UNAVAILABLE,
    TENANT_EXISTS,
    TENANT_NOT_FOUND,
    TOO_LARGE,
    TOO_MANY_KEYS,
    Refusal,
    refusals,
)
from service.stores.keys import AUDIT_ENTRIES
from service.usecases.report_usage import MAX_DAYS

TAG: Final = "Administration"

_TENANTS: Final = "/admin/v1/tenants"
_ONE: Final = f"{_TENANTS}/{{tenant}}"
_ITS_ID: Final = "$response.body#/id"

_EXAMPLE: Final = Tenant(
    "acme",
    "Acme videos",
    TenantState.ACTIVE,
    EXAMPLE_TIME_MS,
    limits=Limits(rate_per_minute=10, concurrency=8, daily=500, budget_micros=500_000_000),
    models=("openai/*",),
    managed=frozenset({"limits.daily"}),
)
_KEY: Final = ApiKey("key_019b76da80007a1b8c2d3e4f5a6b7c8d", "acme", "shop backend", EXAMPLE_TIME_MS)
_KEY_TEXT: Final = "bw_" + "AnExampleAndNoRealKey".ljust(32, "0")
_USAGE: Final = UsageRow(
    "acme",
    "2026-01-01",
    "openai/sora-2",
    {"admitted": 12, "completed": 10, "failed": 1, "held": 400_000, "settled": 4_000_000, "released": 400_000},
)

_TENANT: Final = parameter(
    "tenant",
    "path",
    "The tenant's id: 1 to 63 of a-z, 0-9 and inner hyphens.",
    Schema(type="string", pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
    "acme",
)


def paths() -> dict[str, PathItem]:
    """Every path of the operators' face."""
    return {
        _TENANTS: PathItem(get=_list_tenants()),
        _ONE: PathItem(get=_get_tenant(), put=_put_tenant(), delete=_delete_tenant()),
        f"{_ONE}/suspend": PathItem(post=_set_state("suspend")),
        f"{_ONE}/resume": PathItem(post=_set_state("resume")),
        f"{_ONE}/keys": PathItem(post=_create_key(), get=_list_keys()),
        f"{_ONE}/keys/{{key}}": PathItem(delete=_revoke_key()),
        "/admin/v1/usage": PathItem(get=_usage()),
        "/admin/v1/audit": PathItem(get=_audit()),
    }


def _operation(
    path: str,
    operation_id: str,
    summary: str,
    description: str,
    answers: Mapping[str, Response],
    possible: Iterable[Refusal] = (),
    parameters: Iterable[Parameter] = (),
    body: RequestBody | None = None,
) -> Operation:
    """One operation of operators; `possible` are its own refusals beside those that all have."""
    own = [*([_TENANT] if "{tenant}" in path else []), *parameters]
    shown = path.replace("{tenant}", "acme").replace("{key}", _KEY.id)
    return operation(
        TAG,
        operation_id,
        summary,
        description,
        answers={**answers, **refusals(shown, [NO_OPERATOR, *possible, STORE_UNAVAILABLE])},
        parameters=own,
        body=body,
        security=OPERATORS,
    )


def _tenant_answer(description: str, tenant: Tenant = _EXAMPLE, leading: Links | None = None) -> Response:
    """An answer that is one tenant."""
    return json_answer(description, TenantShown, {"tenant": _plain(TenantShown.show(tenant))}, links=leading)


def _plain(shown: BaseModel) -> Any:
    """What a model looks like in JSON."""
    return shown.model_dump(mode="json")


def _list_tenants() -> Operation:
    """Every tenant."""
    example = TenantList(data=[TenantShown.show(_EXAMPLE)])
    return _operation(
        _TENANTS,
        "list_tenants",
        "List tenants",
        "Every tenant, by id.",
        {"200": json_answer("All of them.", TenantList, {"tenants": _plain(example)})},
    )


def _get_tenant() -> Operation:
    """One tenant."""
    return _operation(
        _ONE,
        "get_tenant",
        "Read a tenant",
        "What operators decided about it, whether it may submit, and which fields the tenants file manages.",
        {"200": _tenant_answer("The tenant.")},
        [TENANT_NOT_FOUND],
    )


def _put_tenant() -> Operation:
    """Create or replace one."""
    wanted = TenantSpec(
        name=_EXAMPLE.name,
        limits=LimitsSpec(rate_per_minute=10, concurrency=8, daily=500, budget_usd="500"),
        models=["openai/*"],
    )
    force = parameter(
        "force",
        "query",
        "Change fields that the tenants file manages as well; the file sets them again when it is applied next.",
        Schema(type="boolean", default=False),
        True,
    )
    return _operation(
        _ONE,
        "put_tenant",
        "Create a tenant, or make it what the body says",
        "The body is the whole tenant: what it leaves out takes its default, which for a limit is none. State, keys "
        "and what was used so far stay. Limits and models count from the next submission on, `callback_allow` within "
        "5 seconds.",
        {
            "200": _tenant_answer("There was one; this is what it is now."),
            "201": _tenant_answer(
                "It is new.",
                replace(_EXAMPLE, managed=frozenset()),
                links("get_tenant", "suspend_tenant", "resume_tenant", "create_key", "delete_tenant", tenant=_ITS_ID),
            ),
        },
        [Refusal.of_field("limits.daily", "Input should be a valid integer"), FIELD_MANAGED, TENANT_EXISTS, TOO_LARGE],
        [force],
        json_body(schema_of(TenantSpec), {"tenant": wanted.model_dump(mode="json", exclude_defaults=True)}),
    )


def _delete_tenant() -> Operation:
    """Forget one."""
    return _operation(
        _ONE,
        "delete_tenant",
        "Delete a tenant",
        "With its keys and endpoints. Suspend it first and wait for its predictions: none may be going on. Its usage "
        "is kept, but reports only name tenants that exist.",
        {"204": answer("It is gone.")},
        [TENANT_NOT_FOUND, STILL_GOING],
    )


def _set_state(verb: str) -> Operation:
    """Suspend or resume one."""
    suspended = verb == "suspend"
    after = replace(_EXAMPLE, state=TenantState.SUSPENDED if suspended else TenantState.ACTIVE)
    return _operation(
        f"{_ONE}/{verb}",
        f"{verb}_tenant",
        "Suspend a tenant" if suspended else "Resume a tenant",
        "Its submissions are refused from now on; what it has running goes on, and can be read."
        if suspended
        else "It may submit again.",
        {"200": _tenant_answer("The tenant as it is now.", after)},
        [TENANT_NOT_FOUND],
    )


def _create_key() -> Operation:
    """Issue a key."""
    example = KeyCreated(**KeyShown.show(_KEY).model_dump(), key=_KEY_TEXT, sha256=f"sha256:{digest(_KEY_TEXT)}")
    return _operation(
        f"{_ONE}/keys",
        "create_key",
        "Issue a key",
        "It works from now on, and beside the tenant's other keys. Only its SHA-256 is kept.",
        {
            "201": json_answer(
                "Issued. The key is shown this once.",
                KeyCreated,
                {"key": _plain(example)},
                links=links("revoke_key", tenant="$request.path.tenant", key="$response.body#/id"),
            )
        },
        [Refusal.of_field("name", "Field required"), TENANT_NOT_FOUND, TOO_LARGE, TOO_MANY_KEYS],
        body=json_body(
            schema_of(NewKey), {"key": {"name": _KEY.name}, "expiring": {"name": _KEY.name, "expires_in_days": 365}}
        ),
    )


def _list_keys() -> Operation:
    """A tenant's keys."""
    example = KeyList(data=[KeyShown.show(_KEY)])
    return _operation(
        f"{_ONE}/keys",
        "list_keys",
        "List a tenant's keys",
        "Oldest first, without the keys themselves.",
        {"200": json_answer("All of them.", KeyList, {"keys": _plain(example)})},
        [TENANT_NOT_FOUND],
    )


def _revoke_key() -> Operation:
    """Revoke a key."""
    key = parameter("key", "path", "The key's id, not the key.", Schema(type="string"), _KEY.id)
    return _operation(
        f"{_ONE}/keys/{{key}}",
        "revoke_key",
        "Revoke a key",
        "It stops working everywhere within 5 seconds.",
        {"204": answer("It is revoked.")},
        [KEY_NOT_FOUND],
        [key],
    )


def _usage() -> Operation:
    """Usage, in both forms."""
    example = Usage(data=[UsageShown.show(_USAGE)])
    day = Schema(type="string", schema_format="date")
    return _operation(
        "/admin/v1/usage",
        "read_usage",
        "Read usage",
        f"By tenant, day of admission and model, for at most {MAX_DAYS} days. Days are UTC; money is in dollars.",
        {
            "200": answer(
                "The rows.",
                {
                    JSON: json_media(schema_of(Usage), {"usage": _plain(example)}),
                    "text/csv; charset=utf-8": text_media(usage_csv([_USAGE])),
                },
            )
        },
        [Refusal.of_query("until", f"must be on or after since, and within {MAX_DAYS} days of it"), TENANT_NOT_FOUND],
        [
            parameter("tenant", "query", "One tenant; every one when left out.", Schema(type="string"), "acme"),
            parameter(
                "since", "query", "The first day; that of the last day's month when left out.", day, "2026-01-01"
            ),
            parameter("until", "query", "The last day, included; today when left out.", day, "2026-01-31"),
            parameter(
                "format",
                "query",
                "`csv` for a table with one header line.",
                Schema(type="string", enum=["json", "csv"], default="json"),
                "csv",
            ),
        ],
    )


def _audit() -> Operation:
    """The newest actions."""
    entry = AuditShown(
        at=rfc3339(EXAMPLE_TIME_MS),
        actor="admin api",
        action="tenant.update",
        tenant="acme",
        detail={"limits.daily": [200, 500]},
    )
    limit = Schema(type="integer", minimum=1, maximum=MAX_AUDIT, default=100)
    return _operation(
        "/admin/v1/audit",
        "read_audit",
        "Read what operators did",
        f"The newest actions first, by whichever way they were done. The last {AUDIT_ENTRIES:,} are kept. A changed "
        "field shows what it was and what it is; keys and secrets are never shown.",
        {"200": json_answer("The newest actions.", Audit, {"audit": _plain(Audit(data=[entry]))})},
        [Refusal.of_query("limit", f"must be 1 to {MAX_AUDIT}")],
        [parameter("limit", "query", "How many of them.", limit, 20)],
    )
