"""Keeps a dead upstream cheap: after some failures in a row nobody calls it for a while, then one call tries again.

Pure: times are seconds of whatever monotonic clock the caller has.
"""

from collections import deque
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Open after `failures` within `window_s`, for `hold_s`; then half open: one call at a time decides."""

    def __init__(self, failures: int = 5, window_s: float = 30.0, hold_s: float = 30.0) -> None:
        self._window_s = window_s
        self._hold_s = hold_s
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._opened_at: float | None = None
        self._probing_since: float | None = None

    def state(self, now_s: float) -> State:
        """How it stands."""
        if self._opened_at is None:
            return "closed"
        return "open" if now_s < self._opened_at + self._hold_s else "half_open"

    def wait_s(self, now_s: float) -> float:
        """0 when a call may be made now, which must then be told of; else seconds until it is worth asking again."""
        if self._opened_at is None:
            return 0.0
        left_s = self._opened_at + self._hold_s - now_s
        if left_s > 0:
            return left_s
        # A probe whose caller never told (it was canceled) counts as gone after a while.
        if self._probing_since is not None and now_s < self._probing_since + self._hold_s:
            return self._probing_since + self._hold_s - now_s
        self._probing_since = now_s
        return 0.0

    def succeeded(self) -> None:
        """A call was answered: all is well."""
        self._failed_at.clear()
        self._opened_at = self._probing_since = None

    def failed(self, now_s: float) -> None:
        """A call failed in a way that says the upstream is in trouble."""
        if self._opened_at is not None:
            if self._probing_since is not None:  # a call from before it opened says nothing new
                self._opened_at, self._probing_since = now_s, None
            return
        self._failed_at.append(now_s)
        if len(self._failed_at) == self._failed_at.maxlen and now_s - self._failed_at[0] <= self._window_s:
            self._opened_at = now_s
