"""When a callback is tried again: one function of the schedule, of how the attempt ended and of the receiver's wish."""

from typing import Final, Literal

Outcome = Literal[
    "delivered",
    "rejected",
    "redirected",
    "rate_limited",
    "gone",
    "timeout",
    "connect_failed",
    "tls_failed",
    "broken",
    "denied",
]
"""How one attempt ended.

delivered: 2xx. rejected: a status without a meaning of its own here, 4xx and 5xx mostly. redirected: 3xx, never
followed. rate_limited: 429. gone: 410, the receiver wants no more. timeout: no connection or no status in time.
connect_failed: the name does not resolve, or nothing listens there. tls_failed: no handshake, or a certificate that
does not verify. broken: the exchange ended without a readable status. denied: the callback policy forbids the address.
"""

SCHEDULE_S: Final = (0, 5, 300, 1800, 7200, 18000, 36000, 36000)
"""Seconds before each attempt, counted from the one before it: 8 attempts within about 28 hours."""

JITTER: Final = 0.2
"""How far a delay strays from the schedule, as a share of it, so that what failed together does not return together."""

MIN_AFTER_OVERLOAD_S: Final = 60.0
"""The shortest delay after a timeout or a 429, in seconds: more of the same at once would not help the receiver."""

MAX_RETRY_AFTER_S: Final = 86_400.0
"""The longest delay a Retry-After may ask for, in seconds; a longer wish is cut to this."""

_FINAL: Final = frozenset[Outcome]({"delivered", "gone", "denied"})
_OVERLOAD: Final = frozenset[Outcome]({"timeout", "rate_limited"})


def next_attempt_s(
    attempt: int, outcome: Outcome, retry_after_s: float | None, roll: float, scale: float
) -> float | None:
    """Seconds until the attempt that follows number `attempt` (1 = the first), or None when there is none.

    There is none after the last of the schedule, nor after an outcome that another try would not change: delivered,
    gone or denied. `roll`, from 0 up to 1, picks the jitter. `retry_after_s` is the receiver's wish: it counts when it
    is longer than the delay would be. `scale` stretches or shrinks all that is ours, the schedule, the shortest delay
    and the longest wish granted, but not the wish itself: the receiver does not know about it.
    """
    if attempt >= len(SCHEDULE_S) or outcome in _FINAL:
        return None
    delay_s = SCHEDULE_S[attempt] * (1 - JITTER + 2 * JITTER * roll)
    if outcome in _OVERLOAD:
        delay_s = max(delay_s, MIN_AFTER_OVERLOAD_S * (1 + JITTER * roll))
    delay_s *= scale
    if retry_after_s is not None and retry_after_s > delay_s:
        delay_s = max(delay_s, min(retry_after_s, MAX_RETRY_AFTER_S * scale))
    return delay_s
