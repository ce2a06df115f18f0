"""A script's header is its signature: there is no other."""

import re

import pytest

from service.stores.scripts import texts

FILES = texts()
SCRIPTS = [name for name in FILES if not name.startswith("_")]
NUMBERED = re.compile(r"(KEYS|ARGV)\[(\d+)")


def split(text: str) -> tuple[str, str]:
    """Divide a script into its header, the comment lines it begins with, and the rest."""
    lines = text.splitlines(keepends=True)
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "".join(lines[:end]), "".join(lines[end:])


@pytest.mark.parametrize("name", FILES)
def test_begins_with_what_it_is_for(name: str) -> None:
    """Every file, script or shared, begins with a comment."""
    assert split(FILES[name])[0]


@pytest.mark.parametrize("name", SCRIPTS)
def test_header_names_every_key_argument_and_answer(name: str) -> None:
    """Every KEYS[n] and ARGV[n] that a script uses stands in its header, and so does what it returns."""
    header, body = split(FILES[name])
    assert set(NUMBERED.findall(body)) <= set(NUMBERED.findall(header))
    assert "Returns " in header
