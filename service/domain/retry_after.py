"""The Retry-After header: seconds, or a date (RFC 9110 §10.2.3)."""

from email.utils import parsedate_to_datetime
from typing import Final

MAX_S: Final = 7 * 86_400.0
"""Longest wait believed, in seconds: beyond a week it means never."""

_MAX_LENGTH: Final = 64


def parse_retry_after(value: str, now_s: float) -> float | None:
    """Seconds to wait from `now_s` (unix), between 0 and `MAX_S`; None for what is neither number nor date."""
    text = value.strip()
    if not text or len(text) > _MAX_LENGTH or not text.isascii():
        return None
    if text.isdigit():
        return min(float(text), MAX_S)
    try:
        delay_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(delay_s, 0.0), MAX_S)
