"""What each thing that happens to a prediction changes.

Pure: every function takes a `Prediction` as last read and returns the `Change` that one compare-and-set writes, or
None where nothing changes. Times are unix milliseconds.
"""

from dataclasses import replace
from typing import Any, Final, Literal

from service.domain.answers import initial_answer, merged, with_expiry
from service.domain.predictions import (
    EVENT_OF,
    LEGAL_MOVES,
    MONEY_OF,
    Change,
    Closed,
    Evidence,
    Money,
    Observation,
    Prediction,
    State,
)

INPUT_KEPT_BYTES: Final = 8_192
"""Inputs larger than this are dropped once they were sent; their hash and size stay."""


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
    return Change(before._replace(**kept | moved | changed), event)


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
        return Change(before._replace(**known, rev=before.rev + 1))
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
        return _moved(before, State.PROCESSING, answer=merged(before, seen, State.PROCESSING), poll_failures=0)
    if before.closing:
        return _closed_by(before, seen, now_ms)
    state = State.COMPLETED if seen.verdict == "completed" else State.FAILED
    answer = with_expiry(merged(before, seen, state), now_ms)
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
        return Change(before._replace(**wiped, rev=before.rev + 1))
    unsent = _unsent(before, State.CANCELED, now_ms)
    change = _moved(before, State.CANCELED, ended_at_ms=now_ms, **wiped, **unsent)
    return change and Change(change.after._replace(sequence=before.sequence))


def output_expiring(before: Prediction) -> Change | None:
    """Its outputs will be gone soon: an event, told once, and no move."""
    if not before.output_expires_at_ms or before.expiring_sequence:
        return None
    sequence = before.sequence + 1
    after = before._replace(rev=before.rev + 1, sequence=sequence, expiring_sequence=sequence)
    return Change(after, "prediction.output_expiring")


def _closed(before: Prediction, how: Closed, now_ms: int, **changed: Any) -> Change:
    """Close a canceled or expired prediction: money moves, the state stays."""
    money: Money = "settled" if how in ("completed", "orphaned") else "released"
    return Change(before._replace(**changed, closed=how, closed_at_ms=now_ms, money=money, rev=before.rev + 1))


def _closed_by(before: Prediction, seen: Observation, now_ms: int) -> Change:
    """Close by the upstream's verdict: a video that came after all is paid for, so it is given out, unless deleted."""
    if seen.verdict != "completed":
        return _closed(before, "failed", now_ms)
    if before.deleted_at_ms:
        return _closed(before, "completed", now_ms)
    told = {"status": State.FAILED.value, "error": before.answer.get("error", "")}
    answer = with_expiry(merged(before, seen, before.state) | told, before.ended_at_ms)
    return _closed(before, "completed", now_ms, answer=answer)
