"""A prediction: its record, its states and the legal moves between them. Times are unix milliseconds.

::

    submitting ──▶ created ──▶ processing ──▶ completed | failed
      ▲ │  └──▶ unconfirmed ──┘ (found later)      (any of these ──▶ canceled; a running or queued one ──▶ expired)
      │ ▼
    queued (no capacity upstream)

A canceled or expired prediction has ended for its tenant, while the upstream may still finish it and be paid: its money
stays held until it is *closed*, by the upstream's verdict or by a day of silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

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

RETENTION_MS: Final = 7 * 24 * 3_600_000
"""How long an ended prediction is kept after its end, as the upstream keeps its outputs."""


_NOTHING: Final[Mapping[str, Any]] = {}
"""What a prediction without headers, metadata or an answer has: one for all of them, never written to."""


class Prediction(NamedTuple):
    """One prediction as stored. `rev` counts its writes and is what compare-and-set compares.

    A tuple, because every submission and every look makes several: `_replace` takes a fifth of what a frozen dataclass
    of so many fields takes for it.

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
    headers: Mapping[str, str] = _NOTHING
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
    metadata: Mapping[str, str] = _NOTHING
    deleted_at_ms: int = 0
    answer: Mapping[str, Any] = _NOTHING

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
