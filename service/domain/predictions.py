"""A prediction's life: its states, the legal moves between them, and what each thing that happens to it changes.

Pure: every function takes a `Prediction` as last read and returns the `Change` that one compare-and-set writes, or
None where nothing changes. Times are unix milliseconds.

::

    submitting ──▶ created ──▶ processing ──▶ completed | failed | expired
        └──▶ unconfirmed ──┘ (found later)  └──▶ failed (given up)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Literal

from pydantic_core import to_json


class State(StrEnum):
    """Where a prediction is in its life."""

    SUBMITTING = "submitting"
    UNCONFIRMED = "unconfirmed"
    CREATED = "created"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether the tenant has its final answer."""
        return self in ENDED

    @property
    def public(self) -> str:
        """The word callers see: a submission not yet confirmed upstream reads `created`."""
        return State.CREATED.value if self in (State.SUBMITTING, State.UNCONFIRMED) else self.value


ENDED: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELED, State.EXPIRED})

_RUNNING_MOVES = frozenset({State.PROCESSING, State.COMPLETED, State.FAILED, State.CANCELED, State.EXPIRED})
LEGAL_MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.SUBMITTING: frozenset({State.CREATED, State.UNCONFIRMED, State.FAILED}),
    State.UNCONFIRMED: frozenset({State.CREATED, State.FAILED}),
    State.CREATED: _RUNNING_MOVES,
    State.PROCESSING: _RUNNING_MOVES - {State.PROCESSING},
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELED: frozenset(),
    State.EXPIRED: frozenset(),
}
"""Every legal move; all others change nothing."""

EventType = Literal[
    "prediction.processing",
    "prediction.completed",
    "prediction.failed",
    "prediction.canceled",
    "prediction.expired",
]
EVENT_OF: Final[Mapping[State, EventType]] = {
    State.PROCESSING: "prediction.processing",
    State.COMPLETED: "prediction.completed",
    State.FAILED: "prediction.failed",
    State.CANCELED: "prediction.canceled",
    State.EXPIRED: "prediction.expired",
}
"""The event a move into a state writes; the others are silent."""

Money = Literal["", "held", "settled", "released"]
MONEY_OF: Final[Mapping[State, Money]] = {State.COMPLETED: "settled", State.FAILED: "released"}
"""What an end means for the money held. A canceled or expired one may still be paid upstream: it stays held."""

MIN_RENAMED: Final = 8
"""Upstream ids shorter than this are left alone in the upstream's words: they would be found in innocent ones."""

INPUT_KEPT_BYTES: Final = 8_192
"""Inputs larger than this are dropped once they were sent; their hash and size stay."""

GIVE_UP_UNCONFIRMED_MS: Final = 30 * 60_000
"""A submission whose outcome is still unknown this long after admission is declared failed."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction as stored. `rev` counts its writes and is what compare-and-set compares.

    `day` is the UTC day it was admitted and is booked to, `money` what became of its price; both are "" in records
    written before there was a ledger.
    """

    id: str
    tenant: str
    model: str
    state: State
    created_at_ms: int
    rev: int = 0
    input: bytes = b""
    input_bytes: int = 0
    input_sha256: str = ""
    callback_url: str = ""
    price_micros: int = 0
    day: str = ""
    money: Money = ""
    upstream_id: str = ""
    started_at_ms: int = 0
    ended_at_ms: int = 0
    sequence: int = 0
    poll_failures: int = 0
    request_id: str = ""
    traceparent: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What the upstream says of a task: still running or how it ended, and its own words (`data`)."""

    verdict: Literal["running", "completed", "failed"]
    status: str
    data: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What one transition writes: the prediction as it will stand, and whether an event goes with it."""

    after: Prediction
    event: EventType | None = None


def rfc3339(at_ms: int) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds, as upstream does."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def initial_answer(prediction_id: str, model: str, created_at_ms: int) -> dict[str, Any]:
    """What callers are told of a prediction about which the upstream has said nothing yet."""
    return {
        "id": prediction_id,
        "model": model,
        "outputs": [],
        "has_nsfw_contents": [],
        "status": State.CREATED.value,
        "created_at": rfc3339(created_at_ms),
        "error": "",
        "executionTime": 0,
        "timings": {"inference": 0},
    }


def _moved(before: Prediction, to: State, **changed: Any) -> Change | None:
    """The change that takes a prediction to `to`, or None when that move is not legal."""
    if to not in LEGAL_MOVES[before.state]:
        return None
    event = EVENT_OF.get(to)
    sequence = before.sequence + (event is not None)
    kept = before.input if len(before.input) <= INPUT_KEPT_BYTES else b""
    money = MONEY_OF.get(to, before.money) if before.money == "held" else before.money
    after = replace(before, **changed, state=to, rev=before.rev + 1, sequence=sequence, input=kept, money=money)
    return Change(after, event)


def confirmed(before: Prediction, upstream_id: str, now_ms: int) -> Change | None:
    """The upstream has the task under `upstream_id`: it runs from now on."""
    return _moved(before, State.CREATED, upstream_id=upstream_id, started_at_ms=now_ms)


def outcome_unknown(before: Prediction) -> Change | None:
    """The submission left and no readable verdict came back: it may run, so it is looked for and never re-sent."""
    return _moved(before, State.UNCONFIRMED)


def observed(before: Prediction, seen: Observation, now_ms: int) -> Change | None:
    """What the upstream says now; None when it says nothing new. Going backwards is nothing new."""
    if seen.verdict == "running":
        if seen.status != State.PROCESSING or State.PROCESSING not in LEGAL_MOVES[before.state]:
            return None
        return _moved(before, State.PROCESSING, answer=_merged(before, seen, State.PROCESSING), poll_failures=0)
    state = State.COMPLETED if seen.verdict == "completed" else State.FAILED
    return _moved(before, state, answer=_merged(before, seen, state), ended_at_ms=now_ms, poll_failures=0)


def ended_by_gateway(
    before: Prediction, state: Literal[State.FAILED, State.CANCELED, State.EXPIRED], reason: str, now_ms: int
) -> Change | None:
    """An end the upstream did not announce (refused late, given up, expired); callers read it as failed, with text."""
    answer = {**before.answer, "status": State.FAILED.value, "error": reason}
    return _moved(before, state, answer=answer, ended_at_ms=now_ms)


def _merged(before: Prediction, seen: Observation, state: State) -> dict[str, Any]:
    """The upstream's words in our name: unknown fields kept, its id and URLs replaced or left out."""
    words = {name: value for name, value in seen.data.items() if name not in ("urls", "outputs")} | {
        "error": seen.error
    }
    if len(before.upstream_id) >= MIN_RENAMED:  # it stays inside, except where it is part of an output's address
        words = _renamed(words, before.upstream_id, before.id)
    outputs = seen.data.get("outputs")
    return {
        **before.answer,
        **words,
        "id": before.id,
        "model": before.model,
        "status": state.value,
        "created_at": before.answer.get("created_at", rfc3339(before.created_at_ms)),
        "outputs": outputs if isinstance(outputs, list) else [outputs] if outputs else [],
    }


def _renamed(value: Any, upstream_id: str, our_id: str) -> Any:
    """A JSON value with one id in place of the other, wherever a text or a name holds it; numbers stay."""
    match value:
        case str():
            return value.replace(upstream_id, our_id)
        case list():
            return [_renamed(item, upstream_id, our_id) for item in value]
        case dict():
            return {name.replace(upstream_id, our_id): _renamed(v, upstream_id, our_id) for name, v in value.items()}
        case _:
            return value


def json_bytes(value: Any) -> bytes:
    """Compact JSON as bytes, fields in their order: what is stored and sent."""
    return to_json(value, inf_nan_mode="null")


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fingerprint(value: Any) -> str:
    """SHA-256 of a value's canonical JSON (fields sorted): equal for inputs that mean the same."""
    return sha256(_CANONICAL(value).encode()).hexdigest()
