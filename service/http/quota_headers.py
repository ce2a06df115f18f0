"""`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): a tenant's limits, and where they stand.

Each limit is a policy of its own name: `q` how much in `w` seconds, `qu` its unit where it is not requests; `r` is what
is left and `t` the seconds until it resets. The budget counts in micro-dollars.
"""

from collections.abc import Iterable
from typing import Final

from service.domain.limits import LimitName, LimitState

_UNITS: Final[dict[LimitName, str]] = {"concurrency": "concurrent-requests", "budget": "micro-dollars"}


def quota_headers(states: Iterable[LimitState]) -> dict[str, str]:
    """Both fields, as structured fields (RFC 9651); none for a tenant without limits."""
    shown = tuple(states)
    if not shown:
        return {}
    return {"ratelimit-policy": ", ".join(map(_policy, shown)), "ratelimit": ", ".join(map(_standing, shown))}


def _policy(state: LimitState) -> str:
    """What is allowed."""
    unit = f';qu="{_UNITS[state.name]}"' if state.name in _UNITS else ""
    window = f";w={state.window_s}" if state.window_s else ""
    return f'"{state.name}";q={state.limit}{unit}{window}'


def _standing(state: LimitState) -> str:
    """What is left."""
    return f'"{state.name}";r={max(0, state.left)};t={-(-state.resets_in_ms // 1000)}'
