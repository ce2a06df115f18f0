"""How a prediction stands in Redis: a hash, a field each; what has its default when it is admitted is not written."""

from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json

from service.domain.json_forms import json_bytes
from service.domain.predictions import Prediction, State

RECORD_VERSION: Final = "1"
"""Written into every record; a reader that meets fields it does not know leaves them as they are."""

_ALWAYS: Final = frozenset({"model_class", "rev", "input_sha256", "price_micros", "answer"})
"""Written even when they have their default: scripts reckon with them, those of older versions too."""

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
_JSON: Final = frozenset({"answer", "metadata", "headers"})

_STATES: Final = {state.value.encode(): state for state in State}


def _as_it_is(value: Any) -> Any:
    """Text and bytes stand as they are."""
    return value


def _reader(name: str) -> Callable[[bytes], Any]:
    """How one field of a record is read."""
    special: dict[str, Callable[[bytes], Any]] = {"input": bytes, "state": _STATES.__getitem__}
    return special.get(name, from_json if name in _JSON else int if name in _INTEGERS else bytes.decode)


def _writer(name: str) -> Callable[[Any], bytes | str]:
    """How one field of a record is written."""
    return json_bytes if name in _JSON else str if name in _INTEGERS else _as_it_is


_NEVER: Final = object()
"""Equal to no value."""


def _default(name: str) -> Any:
    """The value of a field that an admission does not write."""
    return _NEVER if name in _ALWAYS else Prediction._field_defaults.get(name, _NEVER)


_FIELDS: Final = [(name, _writer(name), _default(name)) for name in Prediction._fields[1:]]
_READERS: Final = {name.encode(): (name, _reader(name)) for name in Prediction._fields[1:]}
"""Each field but the id, and how it is written and read: made once, since every submission and every look does it."""


def record_of(prediction: Prediction) -> list[bytes | str]:
    """The record of an admission as Redis holds it: field, value, ...; the day is what the admission script adds."""
    record: list[bytes | str] = []
    for (name, write, default), value in zip(_FIELDS, prediction[1:], strict=True):
        if value != default and name != "day":
            record += name, write(value)
    return record


def changes_of(before: Prediction, after: Prediction) -> list[bytes | str]:
    """The fields in which they differ, as Redis is to hold them: field, value, ...; also what has its default again."""
    changes: list[bytes | str] = []
    for (name, write, _), old, new in zip(_FIELDS, before[1:], after[1:], strict=True):
        if new is not old and new != old:
            changes += name, write(new)
    return changes


def decode_record(prediction_id: str, record: dict[bytes, bytes]) -> Prediction:
    """Read a prediction from its hash; absent fields take their defaults, unknown ones are left alone."""
    values: dict[str, Any] = {}
    for stored, raw in record.items():
        if (known := _READERS.get(stored)) is not None:
            name, read = known
            values[name] = read(raw)
    return Prediction(prediction_id, **values)
