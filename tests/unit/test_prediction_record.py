"""The record of a prediction: whatever is written is read again, by this version and of an older one."""

from itertools import pairwise
from typing import Any, Final, get_args

from hypothesis import given
from hypothesis import strategies as st

from service.domain.capacity import ModelClass
from service.domain.json_forms import json_bytes
from service.domain.predictions import Closed, Encoding, Evidence, Money, Prediction, State
from service.stores.prediction_record import changes_of, decode_record, record_of

ID: Final = "0" * 32

texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(0, 2**53)
pairs = st.dictionaries(texts, texts, max_size=3)
answers = st.dictionaries(
    texts,
    st.recursive(st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=4),
    max_size=4,
)
FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "tenant": texts,
    "model": texts,
    "state": st.sampled_from(State),
    "created_at_ms": numbers,
    "submitted_at_ms": numbers,
    "model_class": st.sampled_from(get_args(ModelClass)),
    "headers": pairs,
    "rev": numbers,
    "input": st.binary(max_size=20),
    "input_bytes": numbers,
    "input_sha256": texts,
    "callback_url": texts,
    "price_micros": numbers,
    "day": texts,
    "booked_as": texts,
    "money": st.sampled_from(get_args(Money)),
    "upstream_id": texts,
    "evidence": st.sampled_from(get_args(Evidence)),
    "started_at_ms": numbers,
    "ended_at_ms": numbers,
    "closed": st.sampled_from(get_args(Closed)),
    "closed_at_ms": numbers,
    "sequence": numbers,
    "expiring_sequence": numbers,
    "poll_failures": numbers,
    "request_id": texts,
    "traceparent": texts,
    "encoding": st.sampled_from(get_args(Encoding)),
    "metadata": pairs,
    "deleted_at_ms": numbers,
    "answer": answers,
}
DEFAULTS: Final = Prediction._field_defaults
REQUIRED: Final = {name: values for name, values in FIELDS.items() if name not in DEFAULTS}
OPTIONAL: Final = {
    name: st.just(DEFAULTS[name]) | values for name, values in FIELDS.items() if name in DEFAULTS and name != "day"
}
"""Half of what may have its default has it. The day is written by the admission script alone."""

predictions = st.fixed_dictionaries(REQUIRED | OPTIONAL).map(lambda fields: Prediction(id=ID, **fields))


def as_stored(parts: list[bytes | str]) -> dict[bytes, bytes]:
    """What HSET makes of them: field → value."""
    raw = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return dict(zip(raw[::2], raw[1::2], strict=True))


def as_an_older_version_writes(prediction: Prediction) -> dict[bytes, bytes]:
    """Every field, also those that have their default."""
    values = prediction._asdict()
    del values["id"]
    return {
        name.encode(): json_bytes(value)
        if isinstance(value, dict)
        else value
        if isinstance(value, bytes)
        else str(value).encode()
        for name, value in values.items()
    }


def test_every_field_is_tried() -> None:
    """A field that is added to predictions is added here."""
    assert FIELDS.keys() == set(Prediction._fields) - {"id"}


@given(predictions)
def test_what_is_admitted_is_read_again(prediction: Prediction) -> None:
    """Any prediction comes back equal, whichever of its fields have their default and were not written."""
    assert decode_record(ID, as_stored(record_of(prediction))) == prediction


@given(predictions)
def test_a_record_with_every_field_is_read(prediction: Prediction) -> None:
    """As older versions write them, and as this one does once each field has changed."""
    assert decode_record(ID, as_an_older_version_writes(prediction)) == prediction


@given(st.lists(predictions, min_size=1, max_size=5), st.booleans())
def test_a_record_is_as_its_newest_change(stages: list[Prediction], older: bool) -> None:
    """After any changes, also back to a default, to a record of either version, it is as the last of them."""
    record = as_an_older_version_writes(stages[0]) if older else as_stored(record_of(stages[0]))
    for before, after in pairwise(stages):
        record |= as_stored(changes_of(before, after))
        assert decode_record(ID, record) == after


@given(predictions)
def test_an_unchanged_prediction_has_no_changes(prediction: Prediction) -> None:
    """Nor has one that was only read twice."""
    again = decode_record(ID, as_stored(record_of(prediction)))
    assert changes_of(prediction, prediction) == changes_of(prediction, again) == []


@given(predictions)
def test_what_scripts_reckon_with_is_always_there(prediction: Prediction) -> None:
    """They compare, subtract and join these without a default for what is absent; so do those of older versions."""
    fields = {
        "tenant",
        "model",
        "state",
        "created_at_ms",
        "model_class",
        "rev",
        "input_sha256",
        "price_micros",
        "answer",
    }
    assert {name.encode() for name in fields} <= as_stored(record_of(prediction)).keys()


def test_a_plain_prediction_is_short() -> None:
    """What has its default takes no place in an admission."""
    plain = Prediction(ID, "acme", "openai/sora-2", State.SUBMITTING, 1)
    assert len(record_of(plain)) == 2 * 9
