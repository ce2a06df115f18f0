"""Times as callers read them."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds, as upstream does."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(at_ms: int) -> str | None:
    """The same, None for a time that has not come, or never will (0)."""
    return rfc3339(at_ms) if at_ms else None
