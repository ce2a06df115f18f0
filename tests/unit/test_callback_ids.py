"""Our ids in WaveSpeed's callback addresses: nobody else can write one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.callback_ids import CallbackIds

ID = "0198c5a2f3b47c11a9d2e4f60718293a"


def test_what_was_signed_is_read_back() -> None:
    """The id comes out of the address, which is fit for a URL's path."""
    ids = CallbackIds(["a-key-of-ours-0001"])
    signed = ids.sign(ID)
    assert ids.read(signed) == ID
    assert signed.replace(".", "").replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=80))
def test_nothing_else_is(text: str) -> None:
    """Any text that was not signed is nobody's id."""
    assert CallbackIds(["a-key-of-ours-0001"]).read(text) is None


@pytest.mark.parametrize("forge", [lambda s: s[:-1] + ("A" if s[-1] != "A" else "B"), lambda s: "f" + s[1:], str.upper])
def test_a_changed_one_is_not_ours(forge: object) -> None:
    """One character is enough."""
    ids = CallbackIds(["a-key-of-ours-0001"])
    assert ids.read(forge(ids.sign(ID))) is None  # type: ignore[operator]


def test_keys_rotate() -> None:
    """The first key signs, every key verifies; a key that was taken away does not."""
    old, new = "a-key-of-ours-0001", "a-key-of-ours-0002"
    before, during, after = CallbackIds([old]), CallbackIds([new, old]), CallbackIds([new])
    assert during.read(before.sign(ID)) == ID
    assert after.read(during.sign(ID)) == ID
    assert after.read(before.sign(ID)) is None


def test_its_keys_are_not_shown() -> None:
    """A log line that holds the object holds no key."""
    assert "0001" not in repr(CallbackIds(["a-key-of-ours-0001"]))
