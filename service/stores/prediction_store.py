"""WHERE A RESULT IS STORED: predictions, their events and the claims on upstream tasks.

Every write goes through a script, one decision each. When Redis is away every method raises `StoreUnavailable`, and a
write may or may not have happened: all of them can be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from pydantic_core import from_json

from service.domain.errors import NotFound
from service.domain.predictions import Change, Prediction, State, json_bytes
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.scripts import Scripts

RECORD_VERSION: Final = "1"
"""Written into every record; a reader that meets fields it does not know leaves them as they are."""

_INTEGERS: Final = frozenset(
    {
        "created_at_ms",
        "rev",
        "input_bytes",
        "price_micros",
        "started_at_ms",
        "ended_at_ms",
        "sequence",
        "poll_failures",
    }
)
_NAMES: Final = tuple(f.name for f in fields(Prediction) if f.name != "id")

_STATES: Final = {state.value.encode(): state for state in State}


def _reader(name: str) -> Callable[[bytes], Any]:
    """How one field of a record is read."""
    special: dict[str, Callable[[bytes], Any]] = {"answer": from_json, "input": bytes, "state": _STATES.__getitem__}
    return special.get(name, int if name in _INTEGERS else bytes.decode)


_READERS: Final = tuple((name.encode(), name, _reader(name)) for name in _NAMES)
"""Each field as Redis names it, as we do, and how it is read: made once, since every look reads a record."""

Move = Literal["moved", "stale", "gone", "claimed"]


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a transition: whether it was written, and how many deliveries it made."""

    outcome: Move
    deliveries: int = 0


def record_of(prediction: Prediction) -> list[bytes | str]:
    """The whole record as Redis holds it: field, value, ...; what the admission script adds itself is left out."""
    return [part for name in _NAMES if name != "day" for part in (name, _encode(name, getattr(prediction, name)))]


def _encode(name: str, value: Any) -> bytes | str:
    """Write one field of a prediction as Redis holds it."""
    if name == "answer":
        return json_bytes(value)
    return value if isinstance(value, bytes | str) else str(value)


def _decode(prediction_id: str, record: dict[bytes, bytes]) -> Prediction:
    """Read a prediction from its hash; absent fields take their defaults, unknown ones are left alone."""
    values: dict[str, Any] = {"id": prediction_id}
    for stored, name, read in _READERS:
        raw = record.get(stored)
        if raw is not None:
            values[name] = read(raw)
    return Prediction(**values)


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
        return _decode(prediction_id, pairs(record)) if record else None

    async def read_answer(self, prediction_id: str, tenant_id: str) -> bytes:
        """What WaveSpeed's face answers about a prediction, as ready-made JSON without `urls`: one round trip.

        Raises `NotFound` when there is none, or it is another tenant's.
        """
        owner, answer = await self._commands("HMGET", keys.prediction(prediction_id), "tenant", "answer")
        if owner is None or owner != tenant_id.encode():
            raise NotFound("prediction not found")
        return bytes(answer)

    async def move(
        self,
        before: Prediction,
        change: Change,
        *,
        next_look_s: float | None,
        event_body: bytes = b"",
        callback_body: bytes = b"",
    ) -> Moved:
        """Write one transition, if the prediction still is as `before`, with event, deliveries and next look."""
        after = change.after
        claim = after.upstream_id if after.upstream_id != before.upstream_id else ""
        changed = [
            part
            for name in _NAMES
            if getattr(after, name) != getattr(before, name)
            for part in (name, _encode(name, getattr(after, name)))
        ]
        script_keys = [
            keys.prediction(after.id),
            keys.prediction_events(after.id),
            keys.due("poll"),
            keys.tenant_endpoints(after.tenant),
            keys.due("deliver"),
            keys.tenant_slots(after.tenant),
            keys.ledger(after.tenant, after.day[:7]),
            keys.usage(after.tenant, after.day[:7]),
        ]
        answer = await self._scripts.run(
            "transition",
            keys=[*script_keys, keys.upstream_task(after.upstream_id)] if after.upstream_id else script_keys,
            args=[
                after.id,
                before.rev,
                "" if next_look_s is None else int(next_look_s * 1000),
                keys.RETENTION_MS if after.state.ended else keys.UNFINISHED_MS,
                claim,
                change.event or "",
                after.sequence,
                event_body,
                after.callback_url if callback_body else "",
                callback_body,
                keys.DELIVERY_PREFIX,
                keys.DELIVERY_MS,
                self._now(),
                after.money if after.money != before.money else "",
                after.state.value if after.state.ended else "",
                *changed,
            ],
        )
        return Moved(answer[0].decode(), answer[1] if len(answer) > 1 else 0)

    async def event_body(self, prediction_id: str, sequence: int) -> bytes | None:
        """The stored body of one event, or None when it is gone."""
        body: bytes | None = await self._commands("HGET", keys.prediction_events(prediction_id), sequence)
        return body
