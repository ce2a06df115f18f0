"""When an attempt at a delivery is followed by another one. Pure: the random number comes in."""

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
"""How an attempt went; anything but `delivered` is a failure."""

SCHEDULE_S: Final = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
"""The wait before each attempt, in seconds: eight attempts over more than a day."""

JITTER: Final = 0.2
"""Waits are spread by up to a fifth either way, so that a receiver that comes back is not hit by everything at once."""

FLOOR_S: Final = 60.0
"""Shortest wait after a timeout or a 429: the receiver is busy, and the schedule begins with seconds."""

MAX_RETRY_AFTER_S: Final = 86_400.0
"""Longest Retry-After honoured: a day, so that a delivery still ends within its lifetime."""

_FINAL: Final[frozenset[Outcome]] = frozenset({"gone", "denied"})


def next_attempt_s(
    attempt: int, outcome: Outcome, retry_after_s: float | None, roll: float, scale: float
) -> float | None:
    """Seconds until the attempt after number `attempt` (1 is the first), or None when there is to be none.

    `roll` is a random number in [0, 1). `scale` multiplies our own waits, for tests and drills; a Retry-After is the
    receiver's wish and is taken as it is, up to `MAX_RETRY_AFTER_S`.
    """
    if outcome in _FINAL or attempt >= len(SCHEDULE_S):
        return None
    delay_s = SCHEDULE_S[attempt] * (1 - JITTER + 2 * JITTER * roll)
    if outcome in ("timeout", "rate_limited"):
        delay_s = max(delay_s, FLOOR_S)
    return max(delay_s * scale, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))
