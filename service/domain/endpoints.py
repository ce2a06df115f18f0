"""A registered callback endpoint: where a tenant wants events sent."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from service.domain.errors import FieldError, InvalidInput
from service.domain.predictions import EventType

MAX_ENDPOINTS: Final = 50
"""Endpoints a tenant may have at once."""

MAX_DESCRIPTION: Final = 200
"""Longest description, in characters."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One callback URL. No `events` means every type. `secrets` are the encrypted signing secrets, newest first."""

    id: str
    tenant: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at_ms: int
    secrets: tuple[str, ...]
    state: Literal["enabled", "disabled"] = "enabled"


def check_events(events: list[str]) -> tuple[str, ...]:
    """Return the event types without repetition, or raise `InvalidInput` naming the unknown ones."""
    known = get_args(EventType)
    errors = [
        FieldError(f"events.{position}", f"unknown event type {event[:60]!r}; known: {', '.join(known)}")
        for position, event in enumerate(events)
        if event not in known
    ]
    if errors:
        raise InvalidInput(errors)
    return tuple(dict.fromkeys(events))
