"""Lanes: each receiver has a queue of deliveries to itself, so that a slow or dead one holds up nobody else. Pure."""

from hashlib import sha256
from typing import Final, Literal

from service.domain.callback_url import read_url
from service.domain.errors import CallbackDenied
from service.domain.webhook_retries import Outcome

BREAKER_TROUBLES: Final = 5
"""After so many attempts in a row that found nobody at home, a lane's breaker opens: nothing is sent."""

BREAKER_HOLD_S: Final = 30.0
"""How long a breaker stays open, in seconds, before one delivery may try; twice as long after each try in vain."""

BREAKER_MAX_HOLD_S: Final = 600.0
"""Longest time between two such tries, in seconds."""

DISABLE_AFTER_S: Final = 5 * 86_400.0
"""An endpoint that has had nothing but failures for so many seconds is disabled."""

Sign = Literal["well", "answers", "trouble", "nothing"]
"""What an attempt says of its receiver: it took the delivery; somebody answers, though not with 2xx; nobody is there,
or it is too much for them; or nothing, because the failure is not the receiver's."""

_TROUBLE: Final = frozenset[Outcome]({"timeout", "connect_failed", "tls_failed", "broken", "rate_limited"})


def sign_of(outcome: Outcome, status: int | None) -> Sign:
    """What one attempt says of its receiver."""
    if outcome == "delivered":
        return "well"
    if outcome == "denied":
        return "nothing"
    return "trouble" if outcome in _TROUBLE or (status or 0) >= 500 else "answers"


def callback_lane(tenant_id: str, url: str) -> str:
    """The lane of a request's own callback: one for each tenant and host."""
    try:
        target = read_url(url)
        place = f"{tenant_id} {target.scheme}://{target.host}:{target.port}"
    except CallbackDenied:  # it was good when it was accepted; that an end is written must not depend on it
        place = f"{tenant_id} {url}"
    return f"cb_{sha256(place.encode()).hexdigest()[:32]}"


def trial_lane(endpoint_id: str) -> str:
    """The lane of an endpoint's tests: they are sent at once, also while its breaker is open."""
    return f"test_{endpoint_id}"
