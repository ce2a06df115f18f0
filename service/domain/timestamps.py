"""Times as callers read them."""

from datetime import UTC, datetime
from functools import lru_cache


def rfc3339(at_ms: int) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds, as upstream does."""
    return f"{to_the_second(at_ms // 1000)}.{at_ms % 1000:03}Z"


@lru_cache(maxsize=1024)
def to_the_second(at_s: int) -> str:
    """A time without its milliseconds: the same for all that happens in a second, and for a prediction's start."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().removesuffix("+00:00")


def rfc3339_or_none(at_ms: int) -> str | None:
    """The same, None for a time that has not come, or never will (0)."""
    return rfc3339(at_ms) if at_ms else None
