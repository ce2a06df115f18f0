"""What an operator writes about a tenant: every field checked, named when wrong, and read back as written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.limits import LIMITS, MAX_COUNT, MAX_RATE, Limits
from service.domain.tenant_spec import TenantSpec, difference, read_spec, unflattened
from service.domain.tenants import Tenant, TenantState

ACME = Tenant("acme", "Acme", TenantState.ACTIVE, 0)

NUMBER = st.none() | st.integers(0, MAX_COUNT)
TENANTS = st.builds(
    Tenant,
    st.just("acme"),
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
    st.sampled_from(TenantState),
    st.just(7),
    callback_allow=st.sampled_from((None, "", "10.0.0.0/8", "10.0.0.0/8,*.svc.cluster.local")),
    limits=st.builds(
        lambda rate, burst, **rest: Limits(rate, burst if rate else None, **rest),
        st.none() | st.integers(1, MAX_RATE),
        st.none() | st.integers(1, MAX_RATE),
        concurrency=NUMBER,
        daily=NUMBER,
        monthly=NUMBER,
        budget_micros=st.none() | st.integers(0, 10**15),
        shadow=st.frozensets(st.sampled_from(LIMITS)),
    ),
    models=st.none() | st.lists(st.sampled_from(("openai/*", "a/b", "*")), max_size=3).map(tuple),
    weight=st.integers(1, 1000),
    managed=st.just(frozenset({"name"})),
)


@given(TENANTS)
def test_a_tenant_is_what_its_spec_says(tenant: Tenant) -> None:
    """Describing a tenant and applying the description gives the same tenant; so does the long way by single fields."""
    spec = TenantSpec.of(tenant)
    assert spec.applied_to(tenant) == tenant
    assert read_spec(unflattened(spec.flat())).applied_to(tenant) == tenant
    assert difference(tenant, spec.applied_to(tenant)) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"limits": {"rate_per_minute": 0}}, "limits.rate_per_minute"),
        ({"limits": {"rate_per_minute": MAX_RATE + 1}}, "limits.rate_per_minute"),
        ({"limits": {"rate_per_minute": "60"}}, "limits.rate_per_minute"),
        ({"limits": {"burst": 5}}, "limits"),
        ({"limits": {"concurrency": -1}}, "limits.concurrency"),
        ({"limits": {"daily": 1.5}}, "limits.daily"),
        ({"limits": {"monthly": True}}, "limits.monthly"),
        ({"limits": {"budget_usd": "-1"}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": "1.0000001"}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": 250}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": "9999999999"}}, "limits.budget_usd"),
        ({"limits": {"budget_usd": "1000000000.000001"}}, "limits.budget_usd"),
        ({"limits": {"shadow": ["speed"]}}, "limits.shadow.0"),
        ({"limits": {"weekly": 1}}, "limits.weekly"),
        ({"limits": []}, "limits"),
        ({"weight": 0}, "weight"),
        ({"models": ["open ai"]}, "models.0"),
        ({"models": ["a/b", "%"]}, "models.1"),
        ({"models": "a/b"}, "models"),
        ({"callback_allow": "10.0.0.0/8"}, "callback_allow"),
        ({"name": "x" * 101}, "name"),
        ({"state": "suspended"}, "state"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], field: str) -> None:
    """By its path, also below the place in a file where it stood."""
    with pytest.raises(InvalidInput) as refused:
        read_spec(values)
    assert [error.field for error in refused.value.errors] == [field]
    with pytest.raises(InvalidInput) as below:
        read_spec(values, "tenants.acme")
    assert [error.field for error in below.value.errors] == [f"tenants.acme.{field}"]


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    """JSON's 5.0 is 5, also where types are strict."""
    spec = read_spec({"weight": 2.0, "limits": {"daily": 5.0, "rate_per_minute": 60.0, "burst": 1.0}})
    assert (spec.weight, spec.limits.daily, spec.limits.rate_per_minute, spec.limits.burst) == (2, 5, 60, 1)


def test_every_wrong_field_is_named_at_once() -> None:
    """Not only the first."""
    with pytest.raises(InvalidInput) as refused:
        read_spec({"weight": 0, "limits": {"daily": -1, "monthly": -1}})
    assert {error.field for error in refused.value.errors} == {"weight", "limits.daily", "limits.monthly"}


def test_what_is_left_out_does_not_limit() -> None:
    """An empty spec is a tenant named by its id that may do everything."""
    tenant = read_spec({}).applied_to(ACME)
    assert (tenant.name, tenant.limits, tenant.models, tenant.callback_allow) == ("acme", Limits(), None, None)


def test_a_name_that_cannot_be_shown_is_refused() -> None:
    """It stands in lists and on dashboards."""
    with pytest.raises(InvalidInput, match="name"):
        read_spec({"name": "a\nb"}).applied_to(ACME)


def test_a_difference_names_each_field_with_both_values() -> None:
    """And leaves out what is the same."""
    after = read_spec({"name": "Acme", "limits": {"daily": 5, "budget_usd": "1.50"}, "models": []}).applied_to(ACME)
    changes = [(change.field, change.before, change.after) for change in difference(ACME, after)]
    assert changes == [("models", None, []), ("limits.daily", None, 5), ("limits.budget_usd", None, "1.50")]
