"""Counters begin at zero, so that Prometheus sees the first of what is rare as an increase."""

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Metrics


def series(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    """What is shown of one counter, by the values of one label."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        sample.labels[label]: sample.value for family in families for sample in family.samples if sample.name == name
    }


def test_closed_sets_begin_with_the_process() -> None:
    """Every kind of drift and of attempt is there before the first of it."""
    metrics = Metrics(CollectorRegistry(), "0")
    assert series(metrics, "breakwater_ledger_drift_total", "kind") == {"ledger": 0, "usage": 0, "slot": 0}
    assert series(metrics, "breakwater_delivery_attempts_total", "outcome")["held"] == 0


def test_a_team_s_ends_begin_with_its_first() -> None:
    """With a team's first completed prediction its expired ones are there, at zero; other teams' are not."""
    metrics = Metrics(CollectorRegistry(), "0")
    name = "breakwater_predictions_ended_total"
    assert series(metrics, name, "end") == {}
    metrics.predictions_ended.labels("acme", "openai/sora-2", "completed").inc()
    assert series(metrics, name, "end") == {"completed": 1, "failed": 0, "canceled": 0, "expired": 0}
    assert set(series(metrics, name, "tenant")) == {"acme"}
