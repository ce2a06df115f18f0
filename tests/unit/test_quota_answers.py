"""Limits in answers: the RateLimit fields as structured fields, and a refusal in the form of each face."""

import re

import pytest
from pydantic_core import from_json
from starlette.requests import Request

from service.domain.limits import LimitState, QuotaExceeded
from service.http.problems import problem_of, render
from service.http.quota_headers import quota_headers

STATES = (
    LimitState("rate", 10, 0, 1_400, 10, "refused"),
    LimitState("concurrency", 4, 3, 0, 0, "ok"),
    LimitState("daily", 500, -2, 3_600_000, 86_400, "shadow"),
    LimitState("monthly", 10_000, 1, 86_400_001, 2_592_000, "near"),
    LimitState("budget", 10**15, 10**15, 86_400_001, 2_592_000, "ok"),
)

ITEM = re.compile(r'"[a-z]+"(;[a-z]+=("[a-z-]+"|\d{1,16}))+')
"""An item that is a string, with parameters that are strings or integers (RFC 9651)."""


def test_each_limit_is_a_policy_and_a_standing() -> None:
    """How much in which time, in which unit; what is left, never below nothing, and the seconds until it resets."""
    headers = quota_headers(STATES)
    assert headers["ratelimit-policy"] == (
        '"rate";q=10;w=10, "concurrency";q=4;qu="concurrent-requests", "daily";q=500;w=86400, '
        '"monthly";q=10000;w=2592000, "budget";q=1000000000000000;qu="micro-dollars";w=2592000'
    )
    assert headers["ratelimit"] == (
        '"rate";r=0;t=2, "concurrency";r=3;t=0, "daily";r=0;t=3600, "monthly";r=1;t=86401, '
        '"budget";r=1000000000000000;t=86401'
    )
    assert all(ITEM.fullmatch(item) for value in headers.values() for item in value.split(", "))


def test_without_limits_there_is_nothing_to_say() -> None:
    """No empty fields."""
    assert quota_headers(()) == {}


def answer(path: str, *states: LimitState) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and body of a refusal on a path."""
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    response = render(Request(scope | {"breakwater.request_id": "r-1"}), problem_of(QuotaExceeded(states)))
    return response.status_code, dict(response.headers), from_json(bytes(response.body))


@pytest.mark.parametrize(
    ("name", "status", "code"), [("rate", 429, "quota_exceeded"), ("budget", 402, "budget_exceeded")]
)
def test_a_refusal_in_both_forms(name: str, status: int, code: str) -> None:
    """402 where money is missing, else 429; Retry-After, the fields, and the names of the limits in the way."""
    state = LimitState(name, 10, 0, 6_001, 60, "refused")  # type: ignore[arg-type]
    drop_in, headers, body = answer("/api/v3/openai/sora-2", state, STATES[1])
    assert (drop_in, headers["retry-after"], set(body), body["code"]) == (status, "7", {"code", "message"}, status)
    assert headers["ratelimit"].startswith(f'"{name}";r=0;t=7, "concurrency"')
    native, headers, body = answer("/v1/predictions", state, STATES[1])
    assert (native, headers["retry-after"], headers["content-type"]) == (status, "7", "application/problem+json")
    assert "ratelimit-policy" in headers
    assert (body["code"], body["violated-policies"], body["retryable"]) == (code, [name], True)
    assert body["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"


def test_money_outweighs_the_rest() -> None:
    """With a rate in the way as well, waiting for the rate would not help."""
    states = (STATES[0], LimitState("budget", 10, 0, 9_000, 60, "refused"))
    assert answer("/v1/predictions", *states)[0] == 402
