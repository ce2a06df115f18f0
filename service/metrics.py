"""WHERE METRICS ARE DECLARED, of both processes. Base units, closed label sets.

Never a label from what a caller sends: no id, URL, prompt or key. `tenant` only takes ids of configured tenants and
`model` ids of the catalogue. The registry is passed in, so each test starts at zero.
"""

from math import nan
from typing import Any, Final, Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

_HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0, 15.0)
_WAIT_BUCKETS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LAG_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 36000.0)


class _Counter(Counter):
    """A counter that remembers its series: looking one up costs several times as much as counting."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._series: dict[tuple[str, ...], Self] = {}

    def labels(self, *labelvalues: Any, **labels: Any) -> Self:
        """The series of these label values."""
        series = self._series.get(labelvalues)
        if series is None or labels:
            series = super().labels(*labelvalues, **labels)
            if not labels:
                self._series[labelvalues] = series
        return series


class Metrics:
    """Every metric, bound to one registry."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for every one, of a time nobody asks for
        self.registry = registry
        self.http_requests = _Counter(
            "breakwater_http_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self.http_duration = Histogram(
            "breakwater_http_request_duration_seconds",
            "Time to answer a request.",
            ("route",),
            buckets=_HTTP_BUCKETS,
            registry=registry,
        )
        self.upstream_calls = _Counter(
            "breakwater_upstream_calls", "Calls to WaveSpeed.", ("operation", "outcome"), registry=registry
        )
        self.upstream_duration = Histogram(
            "breakwater_upstream_call_duration_seconds",
            "Time of a call to WaveSpeed.",
            ("operation",),
            buckets=_HTTP_BUCKETS,
            registry=registry,
        )
        self.upstream_breaker_open = Gauge(
            "breakwater_upstream_breaker_open",
            "1 while this process makes no reads from WaveSpeed, or only one to try, because they failed.",
            registry=registry,
        )
        self.upstream_callbacks = _Counter(
            "breakwater_upstream_callbacks",
            "Callbacks from WaveSpeed by what came of them.",
            ("outcome",),
            registry=registry,
        )
        self.searches = _Counter(
            "breakwater_unconfirmed_searches",
            "Searches for the upstream task of an unconfirmed submission, by result.",
            ("result",),
            registry=registry,
        )
        self.closed = _Counter(
            "breakwater_predictions_closed",
            "Canceled and expired predictions by how they turned out upstream; orphaned: nobody ever said.",
            ("how",),
            registry=registry,
        )
        self.stuck = Gauge(
            "breakwater_predictions_stuck",
            "Predictions that have not moved for their model's deadline and some minutes.",
            registry=registry,
        )
        self.retained = _Counter(
            "breakwater_retention_steps",
            "Ended predictions whose outputs were announced to expire, or that were purged.",
            ("step",),
            registry=registry,
        )
        self.submissions = _Counter(
            "breakwater_submissions",
            "Submissions by what came of them.",
            ("tenant", "model", "outcome"),
            registry=registry,
        )
        self.queued_submissions = _Counter(
            "breakwater_queued_submissions",
            "Submissions taken out of the queue, by what came of them.",
            ("result",),
            registry=registry,
        )
        self.queue_wait = Histogram(
            "breakwater_queue_wait_seconds",
            "How long submissions waited for capacity before they were sent.",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.upstream_limit = Gauge(
            "breakwater_upstream_limit",
            "What the account may have, as it is now: tasks at once, submissions a minute; +Inf without a limit.",
            ("limit",),
            registry=registry,
        )
        self.upstream_used = Gauge(
            "breakwater_upstream_used", "How much of such a limit is used.", ("limit",), registry=registry
        )
        self.upstream_paused = Gauge(
            "breakwater_upstream_paused",
            "1 while no submission is sent, by who wants it so: operator, or account (WaveSpeed refuses it).",
            ("by",),
            registry=registry,
        )
        self.upstream_balance = Gauge(
            "breakwater_upstream_balance_dollars", "The account's balance when it was last read.", registry=registry
        )
        self.upstream_balance.set(nan)  # not zero: only workers read it, and an alert would go off
        self.upstream_balance_low = Gauge(
            "breakwater_upstream_balance_low", "1 while that is below the threshold.", registry=registry
        )
        self.quota_decisions = _Counter(
            "breakwater_quota_decisions",
            "What limits said to submissions: ok, near (80 % or more is used), refused, shadow (would have refused).",
            ("tenant", "limit", "decision"),
            registry=registry,
        )
        self.quota_used = Gauge(
            "breakwater_quota_used_ratio",
            "Share of a limit that is used up, as of the last reconciliation.",
            ("tenant", "limit"),
            registry=registry,
        )
        self.budget = Gauge(
            "breakwater_budget_dollars",
            "Money of the current month, as of the last reconciliation: held, settled, limit.",
            ("tenant", "kind"),
            registry=registry,
        )
        self.ledger_drift = _Counter(
            "breakwater_ledger_drift",
            "Ledger entries and slots that did not fit their predictions, and were mended.",
            ("kind",),
            registry=registry,
        )
        self.predictions_ended = _Counter(
            "breakwater_predictions_ended",
            "Predictions that reached an end.",
            ("tenant", "model", "end"),
            registry=registry,
        )
        self.transitions = _Counter(
            "breakwater_transitions",
            "State changes by outcome; ignored ones changed nothing.",
            ("outcome",),
            registry=registry,
        )
        self.looks = _Counter(
            "breakwater_looks", "Looks at running predictions by result.", ("result",), registry=registry
        )
        self.due_items = Gauge(
            "breakwater_due_items",
            "Items a due set holds; of deliver: receivers.",
            ("due_set",),
            registry=registry,
        )
        self.oldest_due_age = Gauge(
            "breakwater_oldest_due_age_seconds",
            "How long the oldest due item has waited.",
            ("due_set",),
            registry=registry,
        )
        self.delivery_attempts = _Counter(
            "breakwater_delivery_attempts", "Webhook attempts by outcome.", ("outcome",), registry=registry
        )
        self.deliveries_ended = _Counter(
            "breakwater_deliveries_ended", "Deliveries that were accepted or given up.", ("end",), registry=registry
        )
        self.deliveries_pending = Gauge(
            "breakwater_deliveries_pending", "Deliveries that wait or are under way.", registry=registry
        )
        self.receivers_broken = Gauge(
            "breakwater_receiver_breakers_open",
            "Receivers that are sent nothing, or one delivery to try, because nobody was there.",
            registry=registry,
        )
        self.receiver_breakers = _Counter(
            "breakwater_receiver_breaker_moves",
            "Breakers of receivers that opened or closed.",
            ("move",),
            registry=registry,
        )
        self.endpoints_disabled = _Counter(
            "breakwater_endpoints_disabled",
            "Endpoints that were disabled, by whom or what: team, operator, gone (410), failing (for days).",
            ("by",),
            registry=registry,
        )
        self.notify_lag = Histogram(
            "breakwater_notify_lag_seconds",
            "From the end of a prediction to the receiver's 2xx.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "breakwater_worker_in_flight", "Items a worker is busy with.", ("due_set",), registry=registry
        )
        self.wakeups_lost = _Counter(
            "breakwater_wakeups_lost",
            "Wake-ups that could not be enqueued; the sweep makes up for them.",
            ("due_set",),
            registry=registry,
        )
        self.leases_lost = _Counter(
            "breakwater_leases_lost", "Items another worker had taken over meanwhile.", ("due_set",), registry=registry
        )
        self.work_failed = _Counter(
            "breakwater_work_failed",
            "Items whose handling raised; they fall due again.",
            ("due_set",),
            registry=registry,
        )
        self.streams_open = Gauge(
            "breakwater_streams_open", "Event streams and requests held for a prediction's end.", registry=registry
        )
        self.authentications = _Counter(
            "breakwater_authentications", "API key checks by result.", ("result",), registry=registry
        )
        build = Gauge(
            "breakwater_build_info", "Constant 1, labelled with the version.", ("version",), registry=registry
        )
        build.labels(version).set(1)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
