"""An API key can be told from noise without asking anybody, and is stored only as its digest."""

import re
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.api_keys import LENGTH, digest, looks_valid, mint_api_key

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ISSUED = "bw_0123456789ABCDEFGHIJKLMNOP4XCOD7"
KEYS = [ISSUED, "bw_breakwaterBREAKWATER0000001PEHei"]


def test_minted_keys_have_the_documented_form() -> None:
    """A key is `bw_`, 26 base62 characters and 6 of checksum, and passes its own check."""
    for key in {mint_api_key() for _ in range(100)}:
        assert re.fullmatch(r"bw_[0-9A-Za-z]{32}", key)
        assert len(key) == LENGTH == 35
        assert looks_valid(key)


def test_minted_keys_differ() -> None:
    """No two keys share their random part, and every character of the alphabet is used in it."""
    bodies = [mint_api_key()[3:-6] for _ in range(500)]
    assert len(set(bodies)) == 500
    assert set("".join(bodies)) == set(BASE62)


def test_issued_keys_stay_valid() -> None:
    """The checksum never changes: keys issued by an earlier version keep working, under the same digest."""
    assert looks_valid(ISSUED)
    assert digest(ISSUED) == "8ee29e0e255c552b2743f1815116f99175ca3647aed8ed1dee4f21d7f1f0100f"


@pytest.mark.parametrize("key", KEYS)
def test_checksum_catches_every_single_wrong_character(key: str) -> None:
    """Whichever character is mistyped, and into whatever, the key is refused."""
    wrong = [
        key[:place] + other + key[place + 1 :]
        for place in range(len(key))
        for other in BASE62 + "_- é"
        if other != key[place]
    ]
    assert [mistyped for mistyped in wrong if looks_valid(mistyped)] == []


@pytest.mark.parametrize("key", KEYS)
def test_checksum_catches_two_neighbours_swapped(key: str) -> None:
    """Two neighbouring characters in the wrong order are noticed wherever they stand in the random part."""
    swapped = [key[:i] + key[i + 1] + key[i] + key[i + 2 :] for i in range(3, 28) if key[i] != key[i + 1]]
    assert [mistyped for mistyped in swapped if looks_valid(mistyped)] == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "bw_",
        ISSUED[:-1],
        ISSUED + "0",
        ISSUED + "\n",
        " " + ISSUED[:-1],
        ISSUED.lower(),
        ISSUED.replace("bw_", "sk_"),
        ISSUED.replace("0123", "\u0660\u0661\u0662\u0663"),
        ISSUED.replace("A", "\u00aa"),
        "x" * LENGTH,
        "bw_" + "-" * 32,
        "bw_" + "-" * 26 + "48cYBv",  # the right checksum of a wrong alphabet
    ],
)
def test_other_shapes_are_refused(key: str) -> None:
    """Another length, prefix or alphabet is refused, letters and digits of other scripts among them."""
    assert not looks_valid(key)


@settings(max_examples=100, deadline=None)
@given(st.text(BASE62 + "_- \n\0éß\u0660\uff11🌊", max_size=40))
def test_any_text_can_be_asked_about(text: str) -> None:
    """Whatever arrives as a key is answered with a refusal, never with an exception."""
    assert not looks_valid(text)
    assert not looks_valid(f"bw_{text}")


def test_digest_is_sha256_of_the_whole_key() -> None:
    """What is stored is the SHA-256 in hex, prefix and checksum included; the key cannot be read from it."""
    for key in (*KEYS, mint_api_key()):
        assert digest(key) == sha256(key.encode()).hexdigest()
        assert key[3:] not in digest(key)
