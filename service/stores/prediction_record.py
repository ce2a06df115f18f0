"""How a prediction stands in Redis: a hash, a field each."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from pydantic_core import from_json

from service.domain.json_forms import json_bytes
from service.domain.predictions import Prediction, State

RECORD_VERSION: Final = "1"
"""Written into every record; a reader that meets fields it does not know leaves them as they are."""

_INTEGERS: Final = frozenset(
    {
        "created_at_ms",
        "submitted_at_ms",
        "rev",
        "input_bytes",
        "price_micros",
        "started_at_ms",
        "ended_at_ms",
        "closed_at_ms",
        "sequence",
        "expiring_sequence",
        "poll_failures",
        "deleted_at_ms",
    }
)
_NAMES: Final = tuple(f.name for f in fields(Prediction) if f.name != "id")

_STATES: Final = {state.value.encode(): state for state in State}


def _reader(name: str) -> Callable[[bytes], Any]:
    """How one field of a record is read."""
    special: dict[str, Callable[[bytes], Any]] = {
        "answer": from_json,
        "metadata": from_json,
        "headers": from_json,
        "input": bytes,
        "state": _STATES.__getitem__,
    }
    return special.get(name, int if name in _INTEGERS else bytes.decode)


_READERS: Final = tuple((name.encode(), name, _reader(name)) for name in _NAMES)
"""Each field as Redis names it, as we do, and how it is read: made once, since every look reads a record."""


def record_of(prediction: Prediction) -> list[bytes | str]:
    """The whole record as Redis holds it: field, value, ...; what the admission script adds itself is left out."""
    return [part for name in _NAMES if name != "day" for part in (name, _encode(name, getattr(prediction, name)))]


def changes_of(before: Prediction, after: Prediction) -> list[bytes | str]:
    """The fields in which they differ, as Redis is to hold them: field, value, ..."""
    changed = (name for name in _NAMES if getattr(after, name) != getattr(before, name))
    return [part for name in changed for part in (name, _encode(name, getattr(after, name)))]


def _encode(name: str, value: Any) -> bytes | str:
    """Write one field of a prediction as Redis holds it."""
    if name in ("answer", "metadata", "headers"):
        return json_bytes(value)
    return value if isinstance(value, bytes | str) else str(value)


def decode_record(prediction_id: str, record: dict[bytes, bytes]) -> Prediction:
    """Read a prediction from its hash; absent fields take their defaults, unknown ones are left alone."""
    values: dict[str, Any] = {"id": prediction_id}
    for stored, name, read in _READERS:
        raw = record.get(stored)
        if raw is not None:
            values[name] = read(raw)
    return Prediction(**values)
