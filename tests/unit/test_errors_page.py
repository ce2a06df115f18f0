"""The page of errors says what the code does."""

import inspect
from pathlib import Path
from typing import Final

import pytest
from starlette.requests import Request

from service.domain import errors
from service.domain.errors import BreakwaterError, FieldError
from service.http.error_table import BROKEN, Kind, PayloadTooLarge, kind_of, kinds
from service.http.problems import problem_of, render

PAGE: Final = Path(__file__).parents[2] / "docs" / "errors.md"

NEVER_ANSWERED: Final = {
    "BreakwaterError": "the root: a fault",
    "UpstreamError": "the root of what happens to upstream calls",
}
"""Errors no caller is answered with, and why."""


def table() -> str:
    """The table of every error, from the code."""
    rows = [f"| {_status(kind)} | `{kind.code}` | {kind.meaning} | {kind.remedy} |" for kind in kinds()]
    return "\n".join(["| status | code | meaning | what to do |", "|---|---|---|---|", *rows])


def _status(kind: Kind) -> str:
    """The status as the table shows it."""
    if not kind.status:
        return "WaveSpeed's own"
    return f"{kind.status} ({kind.wavespeed_status} under `/api/`)" if kind.wavespeed_status else str(kind.status)


def test_the_page_is_the_code_s() -> None:
    """Every kind of error stands there with its status, meaning and remedy, and nothing else does."""
    written = PAGE.read_text().split("<!-- errors -->")[1].split("<!-- /errors -->")[0].strip()
    assert written == table(), f"put this between the markers:\n\n{table()}"


def test_every_error_is_of_a_kind() -> None:
    """No error of the domain reaches a caller as a fault of the gateway, but for those no caller is answered with."""
    unanswered = {
        name
        for name, error in vars(errors).items()
        if inspect.isclass(error) and issubclass(error, BreakwaterError) and kind_of(_made(error)) is BROKEN
    }
    assert unanswered == set(NEVER_ANSWERED)


def _made(error: type[BreakwaterError]) -> BreakwaterError:
    """An error of a class, whatever it is made with."""
    made = error.__new__(error)
    Exception.__init__(made, "it went wrong")
    return made


@pytest.mark.parametrize("path", ["/api/v3/openai/sora-2", "/v1/predictions"])
def test_codes_are_told_apart(path: str) -> None:
    """Both faces answer the status of the table; each code stands for one thing only."""
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    request = Request(scope | {"breakwater.request_id": "r-1"})
    for error, status in (
        (errors.CallbackDenied("not there"), 400 if path.startswith("/api") else 422),
        (errors.InvalidInput([FieldError("prompt", "is required")]), 400),
        (PayloadTooLarge("too large"), 413),
        (errors.UpstreamRefused(451, "no"), 451),
        (BreakwaterError("a secret"), 500),
    ):
        answer = render(request, problem_of(error))
        assert answer.status_code == status
        assert b"a secret" not in bytes(answer.body)
