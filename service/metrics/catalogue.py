"""WHERE METRICS ARE DECLARED, of both processes. Base units, closed label sets; docs/metrics.md is made of it.

Never a label from what a caller sends: no id, URL, prompt or key. `tenant` only takes ids of configured tenants and
`model` ids of the catalogue. The registry is passed in, so each test starts at zero.
"""

from math import nan
from pathlib import Path
from typing import Final, get_args

from prometheus_client import CollectorRegistry

from service.domain.endpoints import DisabledBy
from service.domain.limits import LimitName
from service.domain.predictions import ENDED, Closed
from service.domain.webhook_retries import Outcome
from service.metrics.declared import Declarations, Values

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""The methods a request is counted by; any other is `other`."""

STATUSES: Final = (
    *(200, 201, 202, 204, 206, 304),
    *(400, 401, 402, 403, 404, 405, 409, 410, 413, 416, 422, 429, 451),
    *(500, 502, 503, 504),
)
"""The statuses a request is counted by; of any other (WaveSpeed's own are passed on) only the class is: `4xx`."""

UNMATCHED: Final = "unmatched"
"""What requests for paths that are none of ours are counted as."""

HELD: Final = "held"
"""Where the time of requests is counted that waited for their prediction's end: it says nothing of their route."""

TENANTS: Final = Values(told="ids of configured tenants")
MODELS: Final = Values(told="ids of the catalogue, `unlisted`")
ROUTES: Final = Values(told=f"templates of the gateway's routes, `{UNMATCHED}`")
TIMED_ROUTES: Final = Values(told=f"{ROUTES.told}; `{HELD}` for requests that waited for their prediction's end")
VERSIONS: Final = Values(told="the version")

_LIMITS: Final = Values(get_args(LimitName))
_CAPACITIES: Final = Values(("concurrency", "videos_per_minute", "images_per_minute"))
_METHODS: Final = Values((*METHODS, "other"))
_DUE_SETS: Final = Values(("poll", "deliver", "retain", "submit"))
_OPERATIONS: Final = Values(("submit", "result", "list", "webhook_secret", "balance", "upload"))

_HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0, 15.0)
_WAIT_BUCKETS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LAG_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 36000.0)
_LOOP_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def _named(*values: str) -> Values:
    """A label's closed set."""
    return Values(values)


class Metrics(Declarations):
    """Every metric, bound to one registry."""

    def __init__(self, registry: CollectorRegistry, version: str, shared: Path | None = None) -> None:
        super().__init__(registry, shared)
        self._declare_http()
        self._declare_upstream()
        self._declare_account()
        self._declare_predictions()
        self._declare_quotas()
        self._declare_webhooks()
        self._declare_work()
        self._declare_redis()
        self.event_loop_lag = self.histogram(
            "event_loop_lag_seconds", "How late a timer of the process fires.", "both", _LOOP_BUCKETS
        )
        build = self.gauge("build_info", "Constant 1, labelled with the version.", "both", "max", version=VERSIONS)
        build.labels(version).set(1)

    def _declare_http(self) -> None:
        """Requests to the gateway."""
        self.http_requests = self.counter(
            "http_requests",
            "Requests answered.",
            "gateway",
            route=ROUTES,
            method=_METHODS,
            status=_named(*map(str, STATUSES), "1xx", "2xx", "3xx", "4xx", "5xx"),
        )
        self.http_duration = self.histogram(
            "http_request_duration_seconds",
            "Time to answer a request, whole event streams among them.",
            "gateway",
            _HTTP_BUCKETS,
            route=TIMED_ROUTES,
            method=_METHODS,
        )
        self.http_in_flight = self.gauge(
            "http_requests_in_flight",
            "Requests being answered now, event streams and held ones among them, probes not.",
            "gateway",
            "sum",
        )
        self.streams_open = self.gauge(
            "streams_open", "Event streams and requests held for a prediction's end.", "gateway", "sum"
        )
        self.authentications = self.counter(
            "authentications",
            "API key checks by result; bounded: not looked up, because too many unknown ones came.",
            "gateway",
            result=_named("known", "unknown", "malformed", "bounded"),
        )

    def _declare_upstream(self) -> None:
        """Calls to WaveSpeed, and from it."""
        self.upstream_calls = self.counter(
            "upstream_calls",
            "Calls to WaveSpeed; paused: not made, because the breaker is open.",
            "both",
            operation=_OPERATIONS,
            outcome=_named(
                *("ok", "never_sent", "refused", "account_fault", "capacity", "unknown", "failed"),
                *("canceled", "paused"),
            ),
        )
        self.upstream_duration = self.histogram(
            "upstream_call_duration_seconds",
            "Time of a call to WaveSpeed.",
            "both",
            _HTTP_BUCKETS,
            operation=_OPERATIONS,
        )
        self.upstream_breaker_open = self.gauge(
            "upstream_breaker_open",
            "1 while this process makes no reads from WaveSpeed, or only one to try, because they failed.",
            "both",
            "max",
            unit="1 or 0",
        )
        self.upstream_callbacks = self.counter(
            "upstream_callbacks",
            "Callbacks from WaveSpeed by what came of them.",
            "gateway",
            outcome=_named(
                *("settled", "running", "repeated", "foreign", "too_late", "unknown", "forged", "unreadable")
            ),
        )
        self.searches = self.counter(
            "unconfirmed_searches",
            "Searches for the upstream task of an unconfirmed submission, by result.",
            "worker",
            result=_named("found", "none", "ambiguous", "failed"),
        )

    def _declare_account(self) -> None:
        """The company's account: its limits, its balance, and who waits for it."""
        self.queued_submissions = self.counter(
            "queued_submissions",
            "Submissions taken out of the queue, by what came of them.",
            "worker",
            result=_named("sent", "put_back", "refused", "expired", "gone"),
        )
        self.queue_wait = self.histogram(
            "queue_wait_seconds",
            "How long submissions waited for capacity before they were sent.",
            "worker",
            _WAIT_BUCKETS,
        )
        self.upstream_limit = self.gauge(
            "upstream_limit",
            "What the account may have, as it is now: tasks at once, submissions a minute; +Inf without a limit.",
            "worker",
            "max",
            limit=_CAPACITIES,
        )
        self.upstream_used = self.gauge(
            "upstream_used",
            "How much of such a limit is used; of concurrency: predictions in flight at WaveSpeed.",
            "worker",
            "max",
            limit=_CAPACITIES,
        )
        self.upstream_paused = self.gauge(
            "upstream_paused",
            "1 while no submission is sent, by who wants it so: operator, or account (WaveSpeed refuses it).",
            "worker",
            "max",
            unit="1 or 0",
            by=_named("operator", "account"),
        )
        self.upstream_balance = self.gauge(
            "upstream_balance_dollars",
            "The account's balance when it was last read.",
            "worker",
            "max",
            unread=nan,  # not zero: only workers read it, and an alert would go off
        )
        self.upstream_balance_low = self.gauge(
            "upstream_balance_low", "1 while that is below the threshold.", "worker", "max", unit="1 or 0", unread=nan
        )

    def _declare_predictions(self) -> None:
        """Predictions, from submission to retention."""
        self.submissions = self.counter(
            "submissions",
            "Submissions by what came of them.",
            "both",
            tenant=TENANTS,
            model=MODELS,
            outcome=_named(*("started", "queued", "capacity", "refused", "unconfirmed", "answered_early", "replayed")),
        )
        self.predictions_ended = self.counter(
            "predictions_ended",
            "Predictions that reached an end.",
            "both",
            begun="end",
            tenant=TENANTS,
            model=MODELS,
            end=_named(*sorted(state.value for state in ENDED)),
        )
        self.transitions = self.counter(
            "transitions",
            "State changes by outcome; ignored ones changed nothing.",
            "both",
            outcome=_named("moved", "stale", "gone", "claimed", "ignored", "foreign"),
        )
        self.looks = self.counter(
            "looks",
            "Looks at running predictions by result.",
            "worker",
            result=_named(
                *("ended", "running", "unknown_status", "failed_look", "paused", "unconfirmed", "found", "expired"),
                *("given_up", "closed", "orphaned", "nothing_owed"),
            ),
        )
        self.closed = self.counter(
            "predictions_closed",
            "Canceled and expired predictions by how they turned out upstream; orphaned: nobody ever said.",
            "both",
            how=_named(*(how for how in get_args(Closed) if how)),
        )
        self.stuck = self.gauge(
            "predictions_stuck",
            "Predictions that have not moved for their model's deadline and some minutes.",
            "worker",
            "max",
            unread=nan,
        )
        self.retained = self.counter(
            "retention_steps",
            "What retention did with ended predictions: told (their outputs will expire), purged, or nothing yet.",
            "worker",
            step=_named("told", "purged", "waiting", "gone"),
        )

    def _declare_quotas(self) -> None:
        """Limits and money."""
        self.quota_decisions = self.counter(
            "quota_decisions",
            "What limits said to submissions: ok, near (80 % or more is used), refused, shadow (would have refused).",
            "gateway",
            begun="decision",
            tenant=TENANTS,
            limit=_LIMITS,
            decision=_named("ok", "near", "refused", "shadow"),
        )
        self.quota_used = self.gauge(
            "quota_used_ratio",
            "Share of a limit that is used up.",
            "worker",
            "max",
            tenant=TENANTS,
            limit=_LIMITS,
        )
        self.budget = self.gauge(
            "budget_dollars",
            "Money of the current month: held, settled, limit.",
            "worker",
            "max",
            tenant=TENANTS,
            kind=_named("held", "settled", "limit"),
        )
        self.ledger_drift = self.counter(
            "ledger_drift",
            "Ledger entries and slots that did not fit their predictions, and were mended.",
            "worker",
            kind=_named("ledger", "usage", "slot"),
        )

    def _declare_webhooks(self) -> None:
        """Callbacks to teams."""
        self.delivery_attempts = self.counter(
            "delivery_attempts",
            "Webhook attempts by outcome; held: none was made, because a secret did not decrypt.",
            "worker",
            outcome=_named(*get_args(Outcome), "held"),
        )
        self.deliveries_ended = self.counter(
            "deliveries_ended",
            "Deliveries that were accepted or given up; a test that fails is none.",
            "worker",
            end=_named("delivered", "dead"),
        )
        self.deliveries_pending = self.gauge(
            "deliveries_pending", "Deliveries that wait or are under way.", "worker", "max", unread=nan
        )
        self.dead_letters = self.gauge(
            "dead_letters", "Deliveries that were given up and can be resent now.", "worker", "max", unread=nan
        )
        self.endpoints = self.gauge(
            "endpoints",
            "Registered endpoints by state, counted once a minute.",
            "worker",
            "max",
            state=_named("enabled", "disabled"),
        )
        self.endpoints_disabled = self.counter(
            "endpoints_disabled",
            "Endpoints that were disabled, by whom or what: team, operator, gone (410), failing (for days).",
            "both",
            by=_named(*(by for by in get_args(DisabledBy) if by)),
        )
        self.receivers_broken = self.gauge(
            "receiver_breakers_open",
            "Receivers that are sent nothing, or one delivery to try, because nobody was there.",
            "worker",
            "max",
            unread=nan,
        )
        self.receiver_breakers = self.counter(
            "receiver_breaker_moves",
            "Breakers of receivers that opened or closed.",
            "worker",
            move=_named("opened", "closed"),
        )
        self.notify_lag = self.histogram(
            "notify_lag_seconds", "From the end of a prediction to the receiver's 2xx.", "worker", _LAG_BUCKETS
        )

    def _declare_work(self) -> None:
        """What is owed, and the workers that see to it."""
        self.due_items = self.gauge(
            "due_items", "Items a due set holds; of deliver: receivers.", "worker", "max", due_set=_DUE_SETS
        )
        self.oldest_due_age = self.gauge(
            "oldest_due_age_seconds",
            "How long the oldest due item has waited; of submit: for the account, which is no fault.",
            "worker",
            "max",
            due_set=_DUE_SETS,
        )
        self.in_flight = self.gauge(
            "worker_in_flight", "Items a worker is busy with.", "worker", "sum", due_set=_DUE_SETS
        )
        self.wakeups_lost = self.counter(
            "wakeups_lost",
            "Wake-ups that could not be enqueued; the sweep makes up for them.",
            "both",
            due_set=_DUE_SETS,
        )
        self.leases_lost = self.counter(
            "leases_lost", "Items another worker had taken over meanwhile.", "worker", due_set=_DUE_SETS
        )
        self.work_failed = self.counter(
            "work_failed", "Items whose handling raised; they fall due again.", "worker", due_set=_DUE_SETS
        )

    def _declare_redis(self) -> None:
        """The store, and how it is set."""
        self.redis_up = self.gauge(
            "redis_up", "1 if Redis answered this process when it was last looked at.", "both", "min", unit="1 or 0"
        )
        self.redis_append_only = self.gauge(
            "redis_append_only", "1 if Redis writes an append-only file.", "worker", "min", unit="1 or 0", unread=nan
        )
        self.redis_noeviction = self.gauge(
            "redis_noeviction", "1 if Redis never evicts a key.", "worker", "min", unit="1 or 0", unread=nan
        )
        self.redis_memory_used = self.gauge(
            "redis_memory_used_ratio",
            "Share of Redis' maxmemory that is used; NaN without one.",
            "worker",
            "max",
            unread=nan,
        )
