"""Retry-After is read as RFC 9110 writes it, and nothing in it can do harm."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.retry_after import MAX_RETRY_AFTER_S, parse_retry_after

NOW_S = 784_111_747.0
"""30 s before the date that RFC 9110 uses in its examples."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("120", 120), (" 7 ", 7), ("1.5", 1.5), ("-5", 0), ("-0", 0), ("604800", 604_800), ("9" * 60, 604_800)],
)
def test_seconds(value: str, seconds: float) -> None:
    """A number is that many seconds: never below none, never above a week."""
    assert parse_retry_after(value, NOW_S) == seconds


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_dates(date: str) -> None:
    """All three forms of an HTTP-date are understood, a past one is no wait, a far one a week."""
    assert parse_retry_after(date, NOW_S) == 30
    assert parse_retry_after(date, NOW_S + 3600) == 0
    assert parse_retry_after(date, 0) == MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "-", "nan", "inf", "-inf", "Infinity", "1e3", "+5", "0x10", "1_000", "5 s", "1.", ".5", "9" * 65),
        *("٣", "soon", "Sun", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:00:00 GMT", "1 2 3", "120, 120"),
        *("Sun, 06 Nov 99999999999 08:49:37 GMT", "2026-01-01T00:00:00Z"),
    ],
)
def test_nonsense(value: str) -> None:
    """What is neither a number nor a date is no wish at all."""
    assert parse_retry_after(value, NOW_S) is None


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=70),
        st.from_regex(r"(Sun|Monday),? [0-9A-Za-z:+ -]{0,40}", fullmatch=True),
        st.from_regex(r"Sun, [0-9]{1,4} Nov [0-9]{1,6} [0-9]{1,3}:[0-9]{2}:[0-9]{2} [+-][0-9]{4,8}", fullmatch=True),
    ),
    st.floats(min_value=0, max_value=1e11),
)
def test_anything(value: str, now_s: float) -> None:
    """Whatever a receiver writes there, it is None or a finite number within bounds."""
    seconds = parse_retry_after(value, now_s)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= MAX_RETRY_AFTER_S)
