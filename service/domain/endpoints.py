"""A registered callback endpoint: where a tenant wants events sent, and what its secrets are."""

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from service.domain.errors import CannotFire, FieldError, InvalidInput
from service.domain.predictions import EventType

MAX_ENDPOINTS: Final = 50
"""Endpoints a tenant may have at once."""

MAX_DESCRIPTION: Final = 200
"""Longest description, in characters."""

OVERLAP_MS: Final = 86_400_000
"""How long after a rotation the older secret still signs beside the new one."""

MAX_SECRETS: Final = 3
"""Most secrets that sign at a time: the newest, and older ones of rotations not long ago."""

MessageType = EventType | Literal["endpoint.test", "endpoint.disabled"]
"""Everything that is sent to endpoints."""

MESSAGE_TYPES: Final[tuple[str, ...]] = (*get_args(EventType), "endpoint.test", "endpoint.disabled")

DisabledBy = Literal["", "team", "operator", "gone", "failing"]
"""Why an endpoint is disabled: by its team, by an operator, because it answered 410, or after days of failures."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret, encrypted; an older one signs until `until_ms`, the newest without end (0)."""

    encrypted: str
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One callback URL. No `events` means every type. `secrets` are the signing secrets, newest first."""

    id: str
    tenant: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at_ms: int
    secrets: tuple[Secret, ...]
    state: Literal["enabled", "disabled"] = "enabled"
    disabled_by: DisabledBy = ""
    disabled_at_ms: int = 0

    def signing(self, now_ms: int) -> tuple[str, ...]:
        """The secrets that sign now, encrypted, newest first."""
        return tuple(secret.encrypted for secret in self.secrets if not secret.until_ms or now_ms < secret.until_ms)


def rotated(endpoint: Endpoint, encrypted: str, now_ms: int) -> Endpoint:
    """Put a new secret first; the others sign for as long as the overlap lasts."""
    older = [
        replace(secret, until_ms=secret.until_ms or now_ms + OVERLAP_MS)
        for secret in endpoint.secrets
        if not secret.until_ms or now_ms < secret.until_ms
    ]
    return replace(endpoint, secrets=(Secret(encrypted), *older)[:MAX_SECRETS])


def disabled(endpoint: Endpoint, by: DisabledBy, now_ms: int) -> Endpoint:
    """Send it nothing any more; one that is disabled already stays as it is."""
    if endpoint.state == "disabled":
        return endpoint
    return replace(endpoint, state="disabled", disabled_by=by, disabled_at_ms=now_ms)


def enabled(endpoint: Endpoint) -> Endpoint:
    """Send it events again."""
    return replace(endpoint, state="enabled", disabled_by="", disabled_at_ms=0)


def check_events(events: list[str], never: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the event types without repetition.

    Raises `CannotFire`, naming them, for types that do not exist, or that (`never`) cannot happen in this installation.
    """
    errors = [
        FieldError(f"events.{position}", f"unknown event type {event[:60]!r}; known: {', '.join(MESSAGE_TYPES)}")
        for position, event in enumerate(events)
        if event not in MESSAGE_TYPES
    ] + [
        FieldError(f"events.{position}", f"{event} never happens here: this installation has switched it off")
        for position, event in enumerate(events)
        if event in never
    ]
    if errors:
        raise CannotFire(errors)
    return tuple(dict.fromkeys(events))


def check_description(description: str) -> str:
    """Return it, or raise `InvalidInput` when it is too long."""
    if len(description) > MAX_DESCRIPTION:
        raise InvalidInput([FieldError("description", f"must be at most {MAX_DESCRIPTION} characters")])
    return description
