"""WHERE A RESULT IS STORED: predictions, their events and the claims on upstream tasks.

Every write goes through a script, one decision each. When Redis is away every method raises `StoreUnavailable`, and a
write may or may not have happened: all of them can be repeated.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from service.domain.errors import NotFound
from service.domain.lanes import callback_lane
from service.domain.predictions import Change, Prediction, State
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.prediction_record import changes_of, decode_record
from service.stores.scripts import Scripts

MAX_TWINS: Final = 256
"""Most unconfirmed submissions of equal inputs that are compared; past it nobody could tell them apart anyway."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
"""What our ids look like."""

_NOT_FOUND: Final = "prediction not found"

Move = Literal["moved", "stale", "gone", "claimed"]


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a transition: was it written, how many deliveries it made, who else has the upstream task.

    `waiting` says whether submissions wait for capacity.
    """

    outcome: Move
    deliveries: int = 0
    owner: str = ""
    waiting: bool = False


class ReadyAnswer(NamedTuple):
    """An answer of WaveSpeed's face: JSON without `urls`; and whether its caller wants the outputs themselves in it."""

    body: bytes
    encoded: bool


class PredictionStore:
    """Predictions in Redis. `now_ms` replaces the server's clock in tests."""

    def __init__(self, commands: Commands, scripts: Scripts, now_ms: Callable[[], int] | None = None) -> None:
        self._commands = commands
        self._scripts = scripts
        self._now_ms = now_ms

    def _now(self) -> str | int:
        """The clock argument of a script: "" lets the server look at its own."""
        return "" if self._now_ms is None else self._now_ms()

    async def load(self, prediction_id: str) -> Prediction | None:
        """The prediction as it stands, or None."""
        record = await self._commands("HGETALL", keys.prediction(prediction_id))
        return decode_record(prediction_id, pairs(record)) if record else None

    async def load_for(self, prediction_id: str, tenant_id: str) -> Prediction:
        """A tenant's own prediction. Raises `NotFound` when there is none, it is another tenant's, or was deleted."""
        prediction = await self.load(prediction_id) if _ID.fullmatch(prediction_id) else None
        if prediction is None or prediction.tenant != tenant_id or prediction.deleted_at_ms:
            raise NotFound(_NOT_FOUND)
        return prediction

    async def read_answer(self, prediction_id: str, tenant_id: str) -> ReadyAnswer:
        """What WaveSpeed's face answers about a tenant's own prediction, in one round trip. Raises `NotFound`."""
        if not _ID.fullmatch(prediction_id):  # unknown without a look
            raise NotFound(_NOT_FOUND)
        owner, answer, encoding, hidden = await self._commands(
            "HMGET", keys.prediction(prediction_id), "tenant", "answer", "encoding", "deleted_at_ms"
        )
        if owner is None or owner != tenant_id.encode() or hidden not in (None, b"0"):
            raise NotFound(_NOT_FOUND)
        return ReadyAnswer(answer, bool(encoding))

    async def move(
        self,
        before: Prediction,
        change: Change,
        *,
        next_look_s: float | None,
        stuck_after_s: float = 0.0,
        next_retention_s: float | None = None,
        event_body: bytes = b"",
        callback_body: bytes = b"",
    ) -> Moved:
        """Write one transition, if the prediction still is as `before`, with event, deliveries and next look.

        `stuck_after_s` is when it counts as stuck without another move, `next_retention_s` when its retention is next
        looked after; None leaves that as it is.
        """
        after = change.after
        month = after.day[:7]
        upstream_id = after.upstream_id or before.upstream_id
        script_keys = [
            keys.prediction(after.id),
            keys.prediction_events(after.id),
            keys.due("poll"),
            keys.tenant_endpoints(after.tenant),
            keys.due("deliver"),
            keys.tenant_slots(after.tenant),
            keys.ledger(after.tenant, month),
            keys.usage(after.tenant, month),
            keys.OPEN,
            keys.due("retain"),
            keys.prediction_deliveries(after.id),
            keys.ORPHANED,
            keys.unconfirmed(after.model, after.input_sha256),
            keys.tenant_deliveries(after.tenant),
            keys.tenant_events(after.tenant),
            keys.tenant_predictions(after.tenant),
            keys.DEAD,
            keys.tenant_dead(after.tenant),
            keys.due("submit"),
            keys.starts(after.model_class),
            keys.tenant_deleted(after.tenant),
        ]
        verdict, *told = await self._scripts.run(
            "transition",
            keys=[*script_keys, keys.upstream_task(upstream_id)] if upstream_id else script_keys,
            args=[
                after.id,
                before.rev,
                _ms(next_look_s),
                keys.ENDED_MS if after.state.ended else keys.UNFINISHED_MS,
                _claim(before, after),
                change.event or "",
                after.sequence,
                event_body,
                after.callback_url if callback_body else "",
                callback_body,
                keys.DELIVERY_PREFIX,
                keys.DELIVERY_MS,
                self._now(),
                after.money if after.money != before.money else "",
                after.state.value if after.state.ended and not before.state.ended else "",
                _ms(next_retention_s),
                _ms(stuck_after_s if after.watched else None),
                _membership(before, change),
                keys.UNCONFIRMED_MS,
                keys.ORPHANS if after.closed == "orphaned" else "",
                keys.LANE_PREFIX,
                callback_lane(after.tenant, after.callback_url) if callback_body else "",
                keys.EVENTS,
                keys.MOVES,
                "hide" if after.deleted_at_ms and not before.deleted_at_ms else "",
                _in_queue(before, after),
                after.model_class,
                after.tenant,
                after.created_at_ms,
                keys.WAITING_PREFIX,
                "over" if _submission_over(before, after) else "",
                keys.TENANT_PREFIX,
                -1 if after.closed == "unsent" and after.state is State.CANCELED else 0,
                *changes_of(before, after),
            ],
        )
        if verdict == b"claimed":
            return Moved("claimed", owner=told[0].decode())
        deliveries, waiting = told or (0, 0)
        return Moved(verdict.decode(), deliveries, waiting=bool(waiting))

    async def unconfirmed_twins(self, prediction: Prediction, within_s: float) -> list[Prediction] | None:
        """Predictions of the same model and inputs, admitted within so many seconds of it, whose task nobody knows.

        They may be any tenant's, and may have been given up; the prediction is among them. None when there are more
        than `MAX_TWINS`.
        """
        key, span_ms = keys.unconfirmed(prediction.model, prediction.input_sha256), int(within_s * 1000)
        first, last = prediction.sent_at_ms - span_ms, prediction.sent_at_ms + span_ms
        ids = await self._commands("ZRANGE", key, first, last, "BYSCORE", "LIMIT", 0, MAX_TWINS + 1)
        if len(ids) > MAX_TWINS:
            return None
        found = await asyncio.gather(*(self.load(raw.decode()) for raw in ids))
        return [twin for twin in found if twin is not None and not twin.upstream_id]

    async def owner_of(self, upstream_id: str) -> str:
        """The prediction that has this upstream task, or "" when it is nobody's."""
        owner = await self._commands("GET", keys.upstream_task(upstream_id))
        return owner.decode() if owner else ""

    async def stuck(self, now_ms: int, limit: int) -> list[tuple[Prediction, int]]:
        """Open predictions that count as stuck, and since when (in unix ms), the longest first."""
        found = await self._commands("ZRANGE", keys.OPEN, "-inf", now_ms, "BYSCORE", "LIMIT", 0, limit, "WITHSCORES")
        ids, since_ms = found[::2], found[1::2]
        predictions = await asyncio.gather(*(self.load(raw.decode()) for raw in ids))
        vanished = [raw for raw, prediction in zip(ids, predictions, strict=True) if prediction is None]
        if vanished:  # it takes no place in the account any more
            await self._commands("ZREM", keys.OPEN, *vanished)
        return [
            (prediction, int(float(since)))
            for prediction, since in zip(predictions, since_ms, strict=True)
            if prediction is not None
        ]

    async def count_stuck(self, now_ms: int) -> int:
        """How many count as stuck."""
        return int(await self._commands("ZCOUNT", keys.OPEN, "-inf", now_ms))

    async def newest_orphaned(self, limit: int) -> list[Prediction]:
        """Predictions that were closed by silence, the newest first."""
        ids = await self._commands("ZRANGE", keys.ORPHANED, 0, limit - 1, "REV")
        found = await asyncio.gather(*(self.load(raw.decode()) for raw in ids))
        return [prediction for prediction in found if prediction is not None]

    async def purge(self, prediction: Prediction, token: str) -> bool:
        """Forget a prediction and all that belongs to it, under a lease of `due:retain`; False when that was lost."""
        script_keys = [
            keys.prediction(prediction.id),
            keys.prediction_events(prediction.id),
            keys.prediction_deliveries(prediction.id),
            keys.tenant_predictions(prediction.tenant),
            keys.due("retain"),
            keys.DEAD,
            keys.ORPHANED,
            keys.tenant_deliveries(prediction.tenant),
            keys.tenant_dead(prediction.tenant),
            keys.due("deliver"),
            keys.tenant_deleted(prediction.tenant),
        ]
        purged = await self._scripts.run(
            "purge",
            keys=[*script_keys, keys.upstream_task(prediction.upstream_id)] if prediction.upstream_id else script_keys,
            args=[prediction.id, token, keys.DELIVERY_PREFIX, keys.LANE_PREFIX],
        )
        return bool(purged)

    async def events(self, prediction_id: str) -> dict[int, bytes]:
        """The stored bodies of a prediction's events, by sequence; none when it is gone."""
        stored = await self._commands("HGETALL", keys.prediction_events(prediction_id))
        return {int(sequence): body for sequence, body in pairs(stored).items()}

    async def event_body(self, prediction_id: str, sequence: int) -> bytes | None:
        """The stored body of one event, or None when it is gone."""
        body: bytes | None = await self._commands("HGET", keys.prediction_events(prediction_id), sequence)
        return body


def _ms(seconds: float | None) -> int | str:
    """A time for a script: milliseconds, "" for none."""
    return "" if seconds is None else int(seconds * 1000)


def _claim(before: Prediction, after: Prediction) -> str:
    """What a change means for the index of upstream tasks."""
    if after.upstream_id == before.upstream_id:
        return ""
    return "claim" if after.upstream_id else "release"


def _in_queue(before: Prediction, after: Prediction) -> str:
    """What a change means for the queue; one that was taken out of it in vain has not had its turn."""
    was, waits = before.state is State.QUEUED, after.state is State.QUEUED
    if was == waits:
        return ""
    if was:
        return "leave"
    return "back" if before.submitted_at_ms else "join"


def _submission_over(before: Prediction, after: Prediction) -> bool:
    """Whether a change tells that its submission is over. Its tenant's cancellation does not: it may be under way."""
    if before.state is State.CANCELED:
        return not before.upstream_id and bool(after.upstream_id or after.closed)
    return before.state is State.SUBMITTING and after.state is not State.CANCELED


def _membership(before: Prediction, change: Change) -> str:
    """Whether a change makes it one of those that may have a task nobody knows of, or takes it away from them."""
    after = change.after
    was = before.watched and not before.upstream_id
    is_one = not after.upstream_id and (after.watched or change.may_have_task)
    if was == is_one:
        return ""
    return "join" if is_one else "leave"
