"""A prediction's life: its states, the legal moves between them, and what each thing that happens to it changes.

Pure: every function takes a `Prediction` as last read and returns the `Change` that one compare-and-set writes, or
None where nothing changes. Times are unix milliseconds.

::

    submitting ──▶ created ──▶ processing ──▶ completed | failed
      ▲ │  └──▶ unconfirmed ──┘ (found later)      (any of these ──▶ canceled; a running or queued one ──▶ expired)
      │ ▼
    queued (no capacity upstream)

A canceled or expired prediction has ended for its tenant, while the upstream may still finish it and be paid: its money
stays held until it is *closed*, by the upstream's verdict or by a day of silence.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Literal

from pydantic_core import to_json

from service.domain.capacity import ModelClass


class State(StrEnum):
    """Where a prediction is in its life."""

    QUEUED = "queued"
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

# Back to unconfirmed goes only one that was found in a list, when better evidence gives its task to another.
_RUNNING_MOVES = ENDED | {State.PROCESSING, State.UNCONFIRMED}
LEGAL_MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.SUBMITTING, State.FAILED, State.CANCELED, State.EXPIRED}),
    State.SUBMITTING: frozenset({State.QUEUED, State.CREATED, State.UNCONFIRMED, State.FAILED, State.CANCELED}),
    State.UNCONFIRMED: frozenset({State.CREATED, State.FAILED, State.CANCELED}),
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
    "prediction.output_expiring",
]
EVENT_OF: Final[Mapping[State, EventType]] = {
    State.PROCESSING: "prediction.processing",
    State.COMPLETED: "prediction.completed",
    State.FAILED: "prediction.failed",
    State.CANCELED: "prediction.canceled",
    State.EXPIRED: "prediction.expired",
}
"""The event a move into a state writes; the others are silent. `prediction.output_expiring` comes with no move."""

END_EVENTS: Final = frozenset(EVENT_OF[state] for state in ENDED)
"""The events of an end."""

Money = Literal["", "held", "settled", "released"]
MONEY_OF: Final[Mapping[State, Money]] = {State.COMPLETED: "settled", State.FAILED: "released"}
"""What an end means for the money held. A canceled or expired one may still be paid upstream: held until closed."""

Evidence = Literal["answer", "callback", "list", ""]
"""How a task is known to be a prediction's, the best evidence first: the answer to its own submission, a callback to
the address only it was given, or its being the only fitting one in the upstream's list."""

Closed = Literal["", "completed", "failed", "gone", "never_started", "orphaned", "unsent"]
"""How a canceled or expired prediction turned out upstream; "orphaned" when nobody ever said, "unsent" for one that
ended while it waited."""

Encoding = Literal["", "base64"]
"""How outputs are read on WaveSpeed's face: as the URLs they are, or as what these hold, in base64."""

MIN_RENAMED: Final = 8
"""Upstream ids shorter than this are left alone in the upstream's words: they would be found in innocent ones."""

INPUT_KEPT_BYTES: Final = 8_192
"""Inputs larger than this are dropped once they were sent; their hash and size stay."""

RETENTION_MS: Final = 7 * 24 * 3_600_000
"""How long an ended prediction is kept after its end, as the upstream keeps its outputs."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction as stored. `rev` counts its writes and is what compare-and-set compares.

    `day` is the UTC day it was admitted and is booked to, `money` what became of its price; both are "" in records
    written before there was a ledger. `booked_as` is what usage calls its model where that is not its id.
    `submitted_at_ms` is when it was taken out of the queue, 0 for one that did not wait, or does; `model_class` is what
    its model counts as upstream, `headers` the caller's that go there with it.
    `evidence` is how `upstream_id` came to be known. `expiring_sequence` is the sequence of the event that told of its
    outputs' end, 0 before. `encoding` is the form its caller wants outputs in on
    WaveSpeed's face; `metadata` the caller's own notes. One with `deleted_at_ms` is hidden from its tenant for good.
    """

    id: str
    tenant: str
    model: str
    state: State
    created_at_ms: int
    submitted_at_ms: int = 0
    model_class: ModelClass = "video"
    headers: Mapping[str, str] = field(default_factory=dict)
    rev: int = 0
    input: bytes = b""
    input_bytes: int = 0
    input_sha256: str = ""
    callback_url: str = ""
    price_micros: int = 0
    day: str = ""
    booked_as: str = ""
    money: Money = ""
    upstream_id: str = ""
    evidence: Evidence = ""
    started_at_ms: int = 0
    ended_at_ms: int = 0
    closed: Closed = ""
    closed_at_ms: int = 0
    sequence: int = 0
    expiring_sequence: int = 0
    poll_failures: int = 0
    request_id: str = ""
    traceparent: str = ""
    encoding: Encoding = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    deleted_at_ms: int = 0
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def closing(self) -> bool:
        """Whether it has ended for its tenant, and what it costs is not known yet."""
        return self.state in (State.CANCELED, State.EXPIRED) and self.money == "held"

    @property
    def watched(self) -> bool:
        """Whether something is still to be found out about it upstream, where it takes a place until then."""
        return self.closing or not (self.state.ended or self.state is State.QUEUED)

    @property
    def sent_at_ms(self) -> int:
        """When its submission began."""
        return self.submitted_at_ms or self.created_at_ms

    @property
    def output_expires_at_ms(self) -> int:
        """When its outputs are gone, here and upstream; 0 when there are none."""
        return self.ended_at_ms + RETENTION_MS if self.ended_at_ms and self.answer.get("outputs") else 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What the upstream says of a task: still running or how it ended, and its own words (`data`)."""

    verdict: Literal["running", "completed", "failed"]
    status: str
    data: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What one transition writes: the prediction as it will stand, and whether an event goes with it.

    `may_have_task` of one that has ended without an upstream task: one may yet turn up that is its own.
    """

    after: Prediction
    event: EventType | None = None
    may_have_task: bool = False


def rfc3339(at_ms: int) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds, as upstream does."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(at_ms: int) -> str | None:
    """The same, None for a time that has not come, or never will (0)."""
    return rfc3339(at_ms) if at_ms else None


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
    small = len(before.input) <= INPUT_KEPT_BYTES
    kept: dict[str, Any] = {} if to is State.QUEUED else {"headers": {}, "input": before.input if small else b""}
    money = MONEY_OF.get(to, before.money) if before.money == "held" else before.money
    moved: dict[str, Any] = {"state": to, "rev": before.rev + 1, "sequence": sequence, "money": money}
    return Change(replace(before, **kept | moved | changed), event)


def put_back(before: Prediction, now_ms: int) -> Change | None:
    """It was sent and provably not started, for reasons that are not its own: it waits in its old place.

    One that was canceled meanwhile is closed by that instead, and costs nothing.
    """
    if before.closing and not before.upstream_id:
        return _closed(before, "never_started", now_ms)
    return _moved(before, State.QUEUED, submitted_at_ms=0)


def confirmed(
    before: Prediction, upstream_id: str, now_ms: int, evidence: Evidence = "answer", started_at_ms: int = 0
) -> Change | None:
    """The upstream has the task under `upstream_id`, running since `started_at_ms` (now, if 0).

    One that was canceled before this was known stays canceled, and can be closed by it.
    """
    known: dict[str, Any] = {"upstream_id": upstream_id, "evidence": evidence, "started_at_ms": started_at_ms or now_ms}
    if before.closing and not before.upstream_id:
        return Change(replace(before, **known, rev=before.rev + 1))
    return _moved(before, State.CREATED, **known)


def outcome_unknown(before: Prediction) -> Change | None:
    """The submission left and no readable verdict came back: it may run, so it is looked for and never re-sent."""
    return _moved(before, State.UNCONFIRMED) if before.state is State.SUBMITTING else None


def dispossessed(before: Prediction, by: Evidence) -> Change | None:
    """Better evidence speaks against its task, which was only found in a list: its own is looked for again."""
    if before.evidence != "list" or by == "list":
        return None
    answer = initial_answer(before.id, before.model, before.created_at_ms)
    return _moved(before, State.UNCONFIRMED, upstream_id="", evidence="", started_at_ms=0, answer=answer)


def observed(before: Prediction, seen: Observation, now_ms: int) -> Change | None:
    """What the upstream says now; None when it says nothing new. Going backwards is nothing new."""
    if not before.upstream_id:  # it has no task anything could be said of
        return None
    if seen.verdict == "running":
        if seen.status != State.PROCESSING or State.PROCESSING not in LEGAL_MOVES[before.state]:
            return None
        return _moved(before, State.PROCESSING, answer=_merged(before, seen, State.PROCESSING), poll_failures=0)
    if before.closing:
        return _closed_by(before, seen, now_ms)
    state = State.COMPLETED if seen.verdict == "completed" else State.FAILED
    answer = _with_expiry(_merged(before, seen, state), now_ms)
    return _moved(before, state, answer=answer, ended_at_ms=now_ms, poll_failures=0)


def ended_by_gateway(
    before: Prediction, state: Literal[State.FAILED, State.CANCELED, State.EXPIRED], reason: str, now_ms: int
) -> Change | None:
    """An end the upstream did not announce (canceled, expired, ...); callers of WaveSpeed's face read `failed`."""
    answer = {**before.answer, "status": State.FAILED.value, "error": reason}
    return _moved(before, state, answer=answer, ended_at_ms=now_ms, **_unsent(before, state, now_ms))


def _unsent(before: Prediction, state: State, now_ms: int) -> dict[str, Any]:
    """What a canceled or expired one costs is known at once if it never left the queue: nothing."""
    if before.state is not State.QUEUED or state is State.FAILED:
        return {}
    return {"money": "released", "closed": "unsent", "closed_at_ms": now_ms}


def never_started(before: Prediction, reason: str, now_ms: int) -> Change | None:
    """The upstream refused it: it has failed, or if it was canceled meanwhile it is closed and costs nothing."""
    if before.upstream_id:  # it was found in the meantime
        return None
    if before.closing:
        return _closed(before, "never_started", now_ms)
    return ended_by_gateway(before, State.FAILED, reason, now_ms)


def given_up(before: Prediction, reason: str, now_ms: int) -> Change | None:
    """It was looked for in vain. Should the upstream have it nevertheless, its task must not become another's."""
    change = never_started(before, reason, now_ms)
    return None if change is None else replace(change, may_have_task=True)


def orphaned(before: Prediction, now_ms: int) -> Change | None:
    """Nobody ever said how a canceled or expired one turned out: it counts as paid, and for operators to look into."""
    return _closed(before, "orphaned", now_ms) if before.closing else None


def gone(before: Prediction, now_ms: int) -> Change | None:
    """The upstream says again and again that it has no such task: what was canceled or has expired is not made."""
    return _closed(before, "gone", now_ms) if before.closing else None


def deleted(before: Prediction, now_ms: int) -> Change | None:
    """Its tenant wants it gone: hidden for good, its words wiped, silently. One still going is canceled by that."""
    if before.deleted_at_ms:
        return None
    wiped: dict[str, Any] = {
        "deleted_at_ms": now_ms,
        "input": b"",
        "metadata": {},
        "callback_url": "",
        "answer": initial_answer(before.id, before.model, before.created_at_ms) | {"status": State.FAILED.value},
    }
    if before.state.ended:
        return Change(replace(before, **wiped, rev=before.rev + 1))
    unsent = _unsent(before, State.CANCELED, now_ms)
    change = _moved(before, State.CANCELED, ended_at_ms=now_ms, **wiped, **unsent)
    return change and Change(replace(change.after, sequence=before.sequence))


def output_expiring(before: Prediction) -> Change | None:
    """Its outputs will be gone soon: an event, told once, and no move."""
    if not before.output_expires_at_ms or before.expiring_sequence:
        return None
    sequence = before.sequence + 1
    after = replace(before, rev=before.rev + 1, sequence=sequence, expiring_sequence=sequence)
    return Change(after, "prediction.output_expiring")


def _closed(before: Prediction, how: Closed, now_ms: int, **changed: Any) -> Change:
    """Close a canceled or expired prediction: money moves, the state stays."""
    money: Money = "settled" if how in ("completed", "orphaned") else "released"
    return Change(replace(before, **changed, closed=how, closed_at_ms=now_ms, money=money, rev=before.rev + 1))


def _closed_by(before: Prediction, seen: Observation, now_ms: int) -> Change:
    """Close by the upstream's verdict: a video that came after all is paid for, so it is given out, unless deleted."""
    if seen.verdict != "completed":
        return _closed(before, "failed", now_ms)
    if before.deleted_at_ms:
        return _closed(before, "completed", now_ms)
    told = {"status": State.FAILED.value, "error": before.answer.get("error", "")}
    answer = _with_expiry(_merged(before, seen, before.state) | told, before.ended_at_ms)
    return _closed(before, "completed", now_ms, answer=answer)


def _with_expiry(answer: dict[str, Any], ended_at_ms: int) -> dict[str, Any]:
    """An answer with outputs also says until when they can be fetched."""
    if not answer["outputs"]:
        return answer
    return answer | {"output_expires_at": rfc3339(ended_at_ms + RETENTION_MS)}


def _merged(before: Prediction, seen: Observation, state: State) -> dict[str, Any]:
    """The upstream's words in our name: unknown fields kept, its id and URLs replaced or left out."""
    words = {name: value for name, value in seen.data.items() if name not in ("urls", "outputs", "input", "inputs")} | {
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
