"""What a tenant may be called."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.tenants import MAX_NAME, check_name, check_tenant_id

PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"


@settings(max_examples=40, deadline=None)
@given(st.text(PLAIN + "-", max_size=61), st.sampled_from(PLAIN), st.sampled_from(PLAIN))
def test_plain_ids_are_accepted_as_they_are(inner: str, first: str, last: str) -> None:
    """Lower-case letters, digits and inner hyphens, up to 63: the id comes back unchanged."""
    tenant_id = first + inner + last
    assert check_tenant_id(tenant_id) == tenant_id


@settings(max_examples=80, deadline=None)
@given(st.text(PLAIN + "-AZ_:*/. \n\0é\uff11🌊", max_size=70))
def test_whatever_is_accepted_is_fit_for_a_key_and_a_label(text: str) -> None:
    """Nothing but such an id passes, so it can stand in a Redis key, a URL path and a metric label."""
    try:
        accepted = check_tenant_id(text)
    except InvalidInput:
        return
    assert re.fullmatch(r"[a-z0-9-]{1,63}", accepted)
    assert not accepted.startswith("-")
    assert not accepted.endswith("-")


@pytest.mark.parametrize(
    "tenant_id",
    ["", "-a", "a-", "-", "A", "acme.eu", "a_b", "a:b", "a b", "acme\n", "é", "\uff11", "a" * 64, "a/b", "*"],
)
def test_other_ids_are_refused_with_the_rule(tenant_id: str) -> None:
    """The refusal names the field and says what an id may be."""
    with pytest.raises(InvalidInput) as refused:
        check_tenant_id(tenant_id)
    [error] = refused.value.errors
    assert error.field == "tenant"
    assert "1 to 63 of a-z, 0-9 and hyphens" in error.message


@pytest.mark.parametrize("tenant_id", ["a", "7", "acme", "team-video-2", "a--b", "a" * 63])
def test_the_bounds_of_an_id_are_inclusive(tenant_id: str) -> None:
    """One character is enough, 63 are allowed."""
    assert check_tenant_id(tenant_id) == tenant_id


@pytest.mark.parametrize("name", ["A", "Acme GmbH & Co. KG", "Équipe vidéo", "動画チーム", "x" * MAX_NAME])
def test_names_may_be_written_in_any_script(name: str) -> None:
    """A display name is any printable text of up to 100 characters and comes back unchanged."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1), "two\nlines", "a\tb", "bell\a", "\x1b[31mred", "\u202egnp"])
def test_names_that_could_disturb_a_terminal_are_refused(name: str) -> None:
    """Control characters, empty and overlong names are refused under the name of the field they came in."""
    with pytest.raises(InvalidInput) as refused:
        check_name(name, "key_name")
    assert [error.field for error in refused.value.errors] == ["key_name"]
