"""`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): a tenant's limits, and where they stand.

Each limit is a policy of its own name: `q` how much in `w` seconds, `qu` its unit where it is not requests; `r` is what
is left and `t` the seconds until it resets. The budget counts in micro-dollars.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from service.domain.limits import LimitName, LimitState

_UNITS: Final[dict[LimitName, str]] = {"concurrency": "concurrent-requests", "budget": "micro-dollars"}


def quota_headers(states: Iterable[LimitState]) -> dict[str, str]:
    """Both fields, as structured fields (RFC 9651); none for a tenant without limits."""
    shown = tuple(states)
    if not shown:
        return {}
    policies = ", ".join([_policy(state.name, state.limit, state.window_s) for state in shown])
    return {"ratelimit-policy": policies, "ratelimit": ", ".join([_standing(state) for state in shown])}


@lru_cache(maxsize=1024)  # a tenant's limits seldom change
def _policy(name: LimitName, limit: int, window_s: int) -> str:
    """What is allowed."""
    unit = f';qu="{_UNITS[name]}"' if name in _UNITS else ""
    window = f";w={window_s}" if window_s else ""
    return f'"{name}";q={limit}{unit}{window}'


def _standing(state: LimitState) -> str:
    """What is left."""
    return f'"{state.name}";r={max(0, state.left)};t={-(-state.resets_in_ms // 1000)}'
