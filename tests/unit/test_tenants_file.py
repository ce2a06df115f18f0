"""The tenants file: what it says, what it leaves to others, and how its mistakes are named."""

import pytest

from service.domain.callback_address import CallbackPolicy
from service.domain.limits import Limits
from service.domain.tenant_spec import read_spec
from service.domain.tenants import Tenant, TenantState
from service.domain.tenants_file import BadTenantsFile, check_callbacks, read_tenants_file

DIGEST = "a" * 64

FILE = f"""
[tenants.beta]

[tenants.acme]
name = "Acme"
models = ["openai/*"]
limits = {{ rate_per_minute = 60, budget_usd = "250" }}
keys = {{ ci = "sha256:{DIGEST}" }}
"""


def test_a_file_is_read_in_order_of_ids() -> None:
    """With the fields it names and no others, and the digests of its keys."""
    acme, beta = read_tenants_file(FILE)
    assert (acme.id, beta.id) == ("acme", "beta")
    assert acme.fields == {
        "name": "Acme",
        "models": ["openai/*"],
        "limits.rate_per_minute": 60,
        "limits.budget_usd": "250.00",
    }
    assert acme.keys == {"ci": DIGEST}
    assert (beta.fields, beta.keys) == ({}, {})


def test_an_empty_file_names_nobody() -> None:
    """Which is no mistake."""
    assert read_tenants_file("") == []


def test_a_field_the_file_says_nothing_of_is_left_alone() -> None:
    """What an operator set by hand stays; what the file says wins."""
    current = Tenant("acme", "Old", TenantState.SUSPENDED, 1, limits=Limits(60, daily=7), weight=3)
    after = read_tenants_file(FILE)[0].spec_over(current).applied_to(current)
    assert (after.name, after.weight, after.state) == ("Acme", 3, TenantState.SUSPENDED)
    assert (after.limits.daily, after.limits.budget_micros) == (7, 250_000_000)


def test_a_field_the_file_no_longer_names_goes_back_to_its_default() -> None:
    """It was the file's, so nobody else stands up for it."""
    current = Tenant(
        "acme", "Acme", TenantState.ACTIVE, 1, limits=Limits(daily=7, monthly=9), managed=frozenset({"limits.daily"})
    )
    after = read_tenants_file("[tenants.acme]").pop().spec_over(current).applied_to(current)
    assert after.limits == Limits(monthly=9)


def test_a_new_tenant_has_what_the_file_says_and_defaults() -> None:
    """As the admin API would make it."""
    assert read_tenants_file(FILE)[1].spec_over(None) == read_spec({"name": ""})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[tenants", "not TOML"),
        ("[tenant.acme]", "tenant: "),
        ("tenants = 3", "tenants: "),
        ("[tenants.Acme]", "tenants.Acme: "),
        ("[tenants]\nacme = 1", "tenants.acme: "),
        ("[tenants.acme]\nlimits = { daily = -1 }", "tenants.acme.limits.daily: "),
        ("[tenants.acme]\nlimits = { weekly = 1 }", "tenants.acme.limits.weekly: "),
        ('[tenants.acme]\nstate = "suspended"', "tenants.acme.state: "),
        ('[tenants.acme]\nname = "a\\nb"', "tenants.acme.name: "),
        ("[tenants.acme]\nkeys = 1", "tenants.acme.keys: "),
        ('[tenants.acme]\nkeys = { ci = "bw_secret" }', "tenants.acme.keys.ci: "),
        ('[tenants.acme]\nkeys = { ci = "sha256:AB" }', "tenants.acme.keys.ci: "),
        ("[tenants.acme]\nkeys = { ci = 5 }", "tenants.acme.keys.ci: "),
    ],
)
def test_a_mistake_is_named_by_its_place(text: str, named: str) -> None:
    """One line; and a key that stands there by mistake is not repeated."""
    with pytest.raises(BadTenantsFile) as refused:
        read_tenants_file(text)
    assert str(refused.value).startswith(named)
    assert "bw_secret" not in str(refused.value)


def test_a_callback_list_must_fit_the_global_policy() -> None:
    """It is checked before anything is applied."""
    policy = CallbackPolicy.parse("10.0.0.0/8")
    check_callbacks(read_tenants_file('[tenants.acme]\ncallback_allow = ["10.1.0.0/16", "*.svc.local"]'), policy)
    with pytest.raises(BadTenantsFile, match=r"^tenants.acme.callback_allow: "):
        check_callbacks(read_tenants_file('[tenants.acme]\ncallback_allow = ["127.0.0.1/32"]'), policy)
