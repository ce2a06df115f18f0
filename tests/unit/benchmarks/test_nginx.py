"""nginx as a contestant: its file, and what is said where it is missing."""

from pathlib import Path

import pytest

from benchmarks.contestants import nginx


def test_the_pass_through_needs_no_module() -> None:
    """Its file has the ports and the key, and nothing left to fill in."""
    text = nginx.configuration(Path("/d"), 8001, 8002, Path("/modules"))
    assert "load_module" not in text
    assert "listen 127.0.0.1:8001 " in text
    assert "server 127.0.0.1:8002;" in text
    assert "$" not in text


def test_the_script_s_dollars_stay() -> None:
    """Nginx and Redis have dollars of their own, which are not ours to fill in."""
    text = nginx.configuration(Path("/d"), 1, 2, Path("/modules"), lua='"$" .. #part')
    assert '"$" .. #part' in text
    assert "load_module /modules/ngx_http_lua_module.so;" in text


def test_what_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to look up a package's name."""
    monkeypatch.setattr(nginx, "find", lambda: "")
    said = nginx.missing()
    for package in nginx.PACKAGES:
        assert package in said
    assert said.endswith(nginx.INSTALL)
