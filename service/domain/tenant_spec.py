"""What an operator writes about a tenant: one shape for the admin API, the command line and the tenants file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.domain.errors import FieldError, InvalidInput
from service.domain.limits import MAX_COUNT, MAX_RATE, LimitName, Limits
from service.domain.money import dollars, micros
from service.domain.tenants import PRINTABLE, Tenant, check_name
from service.domain.whole_numbers import WHOLE

_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*/-]{0,199}")
_DOLLARS: Final = r"^([0-9]{1,9}(\.[0-9]{1,6})?|1000000000(\.0{1,6})?)$"
"""At most what the ledger can hold."""
MAX_PATTERNS: Final = 100
"""Most model patterns and callback entries a tenant may have."""


def _model_pattern(value: str) -> str:
    """Accept a model id in which `*` stands for any characters."""
    if not _PATTERN.fullmatch(value):
        raise ValueError("must be a model id, in which * stands for any characters")
    return value


_Count = Annotated[int, Field(ge=0, le=MAX_COUNT), WHOLE]
_Rate = Annotated[int, Field(ge=1, le=MAX_RATE), WHOLE]
_ModelPattern = Annotated[
    str, AfterValidator(_model_pattern), Field(json_schema_extra={"pattern": f"^{_PATTERN.pattern}$"})
]
_CallbackEntry = Annotated[str, Field(json_schema_extra={"format": "callback-entry"})]

_BURST_NEEDS_A_RATE: Final[dict[str, Any]] = {
    "if": {"required": ["burst"], "properties": {"burst": {"type": "integer"}}},
    "then": {"required": ["rate_per_minute"], "properties": {"rate_per_minute": {"type": "integer"}}},
}
"""In a schema's words."""


class LimitsSpec(BaseModel):
    """Every limit, each optional: one that is left out does not limit."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_BURST_NEEDS_A_RATE)

    rate_per_minute: _Rate | None = Field(None, description="Submissions a minute, on average.")
    burst: _Rate | None = Field(None, description="How many of them may come at once; a minute's worth when left out.")
    concurrency: _Count | None = Field(None, description="Predictions that have not ended, at once.")
    daily: _Count | None = Field(None, description="Predictions a UTC day.")
    monthly: _Count | None = Field(None, description="Predictions a UTC calendar month.")
    budget_usd: Annotated[str, Field(pattern=_DOLLARS)] | None = Field(
        None, description="Dollars a UTC calendar month, as text."
    )
    max_queued: _Count | None = Field(None, description="Submissions that wait for the account, at once.")
    shadow: list[LimitName] = Field(
        default_factory=list, max_length=6, description="Limits that are counted and refuse nothing."
    )

    @model_validator(mode="after")
    def _burst_has_a_rate(self) -> "LimitsSpec":
        if self.burst is not None and self.rate_per_minute is None:
            raise ValueError("burst needs rate_per_minute")
        return self

    def limits(self) -> Limits:
        """The limits as the domain knows them."""
        return Limits(
            self.rate_per_minute,
            self.burst,
            self.concurrency,
            self.daily,
            self.monthly,
            None if self.budget_usd is None else micros(self.budget_usd),
            self.max_queued,
            frozenset(self.shadow),
        )


class TenantSpec(BaseModel):
    """A tenant as an operator writes it. Whatever is left out takes its default: no name of its own, no limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(
        "",
        max_length=100,
        description="Display name; the id when left out.",
        json_schema_extra={"format": PRINTABLE},
    )
    weight: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(
        1, description="Its share of the account when teams compete."
    )
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    models: list[_ModelPattern] | None = Field(
        None, max_length=MAX_PATTERNS, description="Models it may use, `*` for any characters; all when left out."
    )
    callback_allow: list[_CallbackEntry] | None = Field(
        None,
        max_length=MAX_PATTERNS,
        description="Where its callbacks may go instead of the global list: CIDRs and host patterns.",
    )

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantSpec":
        """The spec that describes a tenant as it is."""
        limits = tenant.limits
        return cls(
            name=tenant.name,
            weight=tenant.weight,
            limits=LimitsSpec(
                rate_per_minute=limits.rate_per_minute,
                burst=limits.burst,
                concurrency=limits.concurrency,
                daily=limits.daily,
                monthly=limits.monthly,
                budget_usd=None if limits.budget_micros is None else dollars(limits.budget_micros),
                max_queued=limits.max_queued,
                shadow=sorted(limits.shadow),
            ),
            models=None if tenant.models is None else list(tenant.models),
            callback_allow=None
            if tenant.callback_allow is None
            else [entry for entry in tenant.callback_allow.split(",") if entry],
        )

    def applied_to(self, tenant: Tenant) -> Tenant:
        """The tenant with everything this spec says. Raises `InvalidInput` for a name that cannot be shown."""
        return replace(
            tenant,
            name=check_name(self.name or tenant.id),
            weight=self.weight,
            limits=self.limits.limits(),
            models=None if self.models is None else tuple(self.models),
            callback_allow=None if self.callback_allow is None else ",".join(self.callback_allow),
        )

    def flat(self) -> dict[str, Any]:
        """Every field by path, `limits.daily` and the like, with its value."""
        values = self.model_dump()
        limits = values.pop("limits")
        limits["budget_usd"] = None if limits["budget_usd"] is None else dollars(micros(limits["budget_usd"]))
        return values | {f"limits.{name}": value for name, value in limits.items()}


def read_spec(values: Mapping[str, Any], within: str = "") -> TenantSpec:
    """Read a spec from plain values. Raises `InvalidInput` naming every wrong field, by its path below `within`."""
    try:
        return TenantSpec.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidInput(
            [
                FieldError(".".join([*([within] if within else []), *map(str, e["loc"])]), _plain(e["msg"]))
                for e in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def _plain(message: str) -> str:
    """A validation message without pydantic's own prefix."""
    return message.removeprefix("Value error, ")


def unflattened(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `TenantSpec.flat`: paths to nested values."""
    limits = {name.removeprefix("limits."): value for name, value in flat.items() if name.startswith("limits.")}
    return {name: value for name, value in flat.items() if "." not in name} | ({"limits": limits} if limits else {})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a tenant, before and after."""

    field: str
    before: Any
    after: Any


def difference(before: Tenant, after: Tenant) -> list[FieldChange]:
    """What differs between two versions of a tenant, field by field."""
    old, new = TenantSpec.of(before).flat(), TenantSpec.of(after).flat()
    return [FieldChange(name, old[name], new[name]) for name in old if old[name] != new[name]]
