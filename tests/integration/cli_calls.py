"""The `breakwater` command as its tests call it."""

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from pydantic_core import from_json
from structlog.testing import capture_logs

from service.cli import main

KEY: Final = urlsafe_b64encode(b"c" * 32).decode()


def set_up(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> pytest.MonkeyPatch:
    """Set what an operator has set."""
    monkeypatch.setenv("BREAKWATER_REDIS_URL", redis_url)
    monkeypatch.setenv("BREAKWATER_ENCRYPTION_KEY", KEY)
    monkeypatch.setenv("BREAKWATER_CALLBACK_ALLOW", "127.0.0.1/32")
    return monkeypatch


def invoke(*arguments: str) -> Result:
    """Run the command inside this process, with logging left alone: what it logs is nobody's output."""
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        patch.setattr("service.cli.operator.configure_logging", lambda *_: None)
        return CliRunner().invoke(main, arguments)


def printed(*arguments: str) -> Any:
    """What a successful command prints with `--json`: one document and nothing else."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return from_json(result.stdout)


def refused(*arguments: str) -> str:
    """The one line with which a command fails."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, with nothing set but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BREAKWATER_", "WAVESPEED_"))}
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
