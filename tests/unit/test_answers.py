"""Redis's flat answers take Python's shapes without loss."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.stores.answers import info_fields, pairs


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=20), max_size=20))
def test_a_hash_comes_back_whole(stored: dict[bytes, bytes]) -> None:
    """Fields and values in turn make the hash they came from, whatever bytes they are."""
    assert pairs([part for pair in stored.items() for part in pair]) == stored


def test_half_a_pair_is_an_error() -> None:
    """A field without a value is never dropped in silence."""
    with pytest.raises(ValueError, match="shorter"):
        pairs([b"a", b"1", b"b"])


def test_info_is_read_line_by_line() -> None:
    """Headings and empty lines are skipped; a value may hold colons."""
    text = b"# Memory\r\nused_memory:1024\r\nmaxmemory:0\r\n\r\n# Server\r\nexecutable:/opt:x\r\nconfig_file:\r\n"
    assert info_fields(text) == {
        "used_memory": "1024",
        "maxmemory": "0",
        "executable": "/opt:x",
        "config_file": "",
    }
    assert info_fields(b"") == {}
