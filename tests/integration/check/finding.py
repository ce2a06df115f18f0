"""How the tests of `breakwater check` say what they find: each names one promise and breaks one thing."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytest
from pydantic_core import from_json
from redis import Redis

from service.checks.findings import Report
from service.checks.promises import PROMISES, Level
from tests.integration.cli_calls import KEY, invoke

TESTED: Final[set[str]] = set()
"""Promises that a test breaks something for."""

Shown = Mapping[str, Any]
"""A report as `--json` has it."""

SOUND: Final = {
    "BREAKWATER_ENCRYPTION_KEY": KEY,
    "BREAKWATER_UPSTREAM_TIER": "gold",
    "BREAKWATER_PUBLIC_URL": "https://videos.example.com",
    "BREAKWATER_CALLBACK_ALLOW": "10.20.0.0/16, *.hooks.example.com",
    "BREAKWATER_ADMIN_TOKEN": "a-token-of-many-characters",
}
"""What is set right, besides where Redis and WaveSpeed are and the key."""


class Doctor:
    """Runs `breakwater check` in an environment that is right but for what a test changes (None: takes out)."""

    def __init__(self, patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
        self._patch = patch
        self._environment = environment

    def set(self, **changes: str | None) -> None:
        """Set the environment."""
        for name, value in {**self._environment, **changes}.items():
            if value is None:
                self._patch.delenv(name, raising=False)
            else:
                self._patch.setenv(name, value)

    def check(self, *arguments: str, **changes: str | None) -> Shown:
        """The report. Strict or not, the exit code is what the report says."""
        self.set(**changes)
        result = invoke("check", "--json", *arguments)
        shown: Shown = from_json(result.stdout)
        assert result.exit_code == (0 if shown["ok"] else 1)
        return shown


def told(redis: Redis, section: str) -> dict[str, Any]:
    """One section of INFO."""
    info = redis.info(section)
    assert isinstance(info, dict)
    return info


def names(shown: Shown) -> set[str]:
    """What is found to be wrong, by name."""
    return {one["check"] for one in shown["findings"] if one["level"] != Level.OK}


def assert_found(name: str, shown: Shown | Report) -> None:
    """The promise is kept: a finding of that name and level, with its remedy; and the report fails if it must."""
    if isinstance(shown, Report):
        shown = shown.shown(strict=False)
    promise = PROMISES[name]
    found = [one for one in shown["findings"] if one["check"] == name]
    assert found, f"{name} was not found, but {names(shown)}"
    assert all(one["level"] == promise.level for one in found)
    assert all(one["remedy"] == promise.remedy and promise.means in one["found"] for one in found)
    assert shown["ok"] is (shown["problems"] == 0)
    assert shown["problems"] >= (promise.level is Level.PROBLEM)
    assert shown["warnings"] >= (promise.level is Level.WARNING)


def finds(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a test that breaks one thing and returns the report, in which `name` must be."""
    TESTED.add(name)

    def wrap(test: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def awaited(*given: Any, **named: Any) -> None:
                assert_found(name, await test(*given, **named))

            return awaited

        @functools.wraps(test)
        def called(*given: Any, **named: Any) -> None:
            assert_found(name, test(*given, **named))

        return called

    return wrap


def each(cases: Iterable[tuple[str, Mapping[str, str | None]]]) -> pytest.MarkDecorator:
    """Mark a test that is run for each promise with the changes to the environment that break it."""
    listed = list(cases)
    TESTED.update(name for name, _ in listed)
    return pytest.mark.parametrize(("name", "changes"), listed)
