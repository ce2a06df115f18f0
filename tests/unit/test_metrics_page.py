"""The page of metrics says what the code does, and the catalogue what the rest of the code counts."""

import re
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from prometheus_client import CollectorRegistry

from service.http.error_table import kinds
from service.metrics import Metrics
from service.metrics.catalogue import STATUSES
from service.metrics.declared import Declared, Values
from service.stores import keys
from service.upstream import client
from service.usecases import look, receive_callback, retain, submit_queued

PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"


def catalogue() -> list[Declared]:
    """Every metric, by name."""
    return sorted(Metrics(CollectorRegistry(), "0").declared, key=lambda one: one.name)


def table() -> str:
    """The table of every metric, from the code."""
    rows = [
        f"| `{one.name}` | {one.kind} | {one.unit} | {_labels(one.labels)} | {one.process} | {one.across} |"
        f" {one.meaning} |"
        for one in catalogue()
    ]
    head = ["| metric | type | unit | labels | process | over processes | meaning |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _labels(labels: dict[str, Values]) -> str:
    """Labels and their values as the table shows them."""
    return "; ".join(
        f"`{name}`: {values.told or ', '.join(f'`{value}`' for value in values.allowed)}"
        for name, values in labels.items()
    )


def test_the_page_is_the_code_s() -> None:
    """Every metric stands there with its type, unit, labels, process and meaning, and nothing else does."""
    written = PAGE.read_text().split("<!-- metrics -->")[1].split("<!-- /metrics -->")[0].strip()
    assert written == table(), f"put this between the markers:\n\n{table()}"


@pytest.mark.parametrize("one", catalogue(), ids=lambda one: one.name)
def test_names_follow_prometheus_rules(one: Declared) -> None:
    """Prefix, base unit and suffix are what `promtool check metrics` wants; a meaning is a sentence."""
    assert re.fullmatch(r"breakwater_[a-z]+(_[a-z]+)*", one.name)
    assert one.name.endswith("_total") == (one.kind == "counter")
    assert not re.search(r"_(milliseconds|ms|minutes|percent|count|sum|bucket|gauge|counter|histogram)\b", one.name)
    assert one.kind != "histogram" or one.name.endswith("_seconds")
    assert one.meaning.endswith(".")
    assert "|" not in one.meaning
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in one.labels)
    assert not {"le", "quantile", "pid", "job", "instance"} & set(one.labels)


def test_every_label_has_a_closed_set() -> None:
    """Each label names its values, or what the configuration takes them from; none is named twice."""
    for one in catalogue():
        for values in one.labels.values():
            assert bool(values.allowed) != bool(values.told), one.name
            assert len(values.allowed) == len(set(values.allowed)), one.name


@pytest.mark.parametrize(
    ("name", "label", "counted"),
    [
        ("looks_total", "result", get_args(look.Result)),
        ("retention_steps_total", "step", get_args(retain.Step)),
        ("queued_submissions_total", "result", get_args(submit_queued.Result)),
        ("upstream_callbacks_total", "outcome", (*get_args(receive_callback.Outcome), "forged", "unreadable")),
        ("upstream_calls_total", "operation", get_args(client.Operation)),
        ("upstream_calls_total", "outcome", (*client._OUTCOMES.values(), "ok", "canceled", "paused")),
        ("upstream_call_duration_seconds", "operation", get_args(client.Operation)),
        ("due_items", "due_set", get_args(keys.DueSet)),
        ("worker_in_flight", "due_set", get_args(keys.DueSet)),
    ],
)
def test_what_the_code_tells_apart_the_catalogue_does_too(name: str, label: str, counted: Any) -> None:
    """A result that somebody adds or takes away elsewhere is added or taken away here."""
    (one,) = [one for one in catalogue() if one.name == f"breakwater_{name}"]
    assert set(one.labels[label].allowed) == set(counted)


def test_every_status_of_ours_is_counted_as_itself() -> None:
    """Whatever the gateway answers by itself is no mere class in the metrics."""
    ours = {status for kind in kinds() for status in (kind.status, kind.wavespeed_status) if status}
    assert ours <= set(STATUSES)


def test_a_registry_of_ones_own_starts_at_zero() -> None:
    """Metrics made anew have counted nothing."""
    first, second = Metrics(CollectorRegistry(), "0"), Metrics(CollectorRegistry(), "0")
    first.authentications.labels("known").inc()
    named = ("breakwater_authentications_total", {"result": "known"})
    assert first.registry.get_sample_value(*named) == 1
    assert second.registry.get_sample_value(*named) == 0
