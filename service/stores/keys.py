"""Every Redis key: name, type, lifetime, writer. No other module spells a key.

| key | type | what it holds | lifetime |
|---|---|---|---|
| bw:tenants | set | ids of all tenants | permanent: bounded by operators |
| bw:tenant:{t} | hash | one tenant | permanent: one per tenant |
| bw:tenant:{t}:keys | hash | API key id → SHA-256 of the key | permanent: ≤ 100 per tenant |
| bw:tenant:{t}:endpoints | hash | endpoint id → its JSON | permanent: ≤ 50 per tenant |
| bw:tenant:{t}:deliveries | zset | delivery id by the time it was owed, in ms | DELIVERY_MS, renewed by each |
| bw:tenant:{t}:dead | zset | its dead letters, by time | DELIVERY_MS, renewed by each; ≤ DEAD_LETTERS |
| bw:tenant:{t}:events | stream | what happened, in order | UNFINISHED_MS, renewed by each; ≤ EVENTS |
| bw:tenant:{t}:predictions | zset | prediction id by admission time, in ms | retention, renewed on admission |
| bw:tenant:{t}:deleted | zset | those the tenant deleted, by admission time, in ms | retention, renewed on deletion |
| bw:tenant:{t}:slots | zset | predictions that have not ended, by hard deadline | UNFINISHED_MS, renewed on admission |
| bw:tenant:{t}:rate | string | when the tenant's rate is all free again, in µs | until then |
| bw:tenant:{t}:ledger:{month} | hash | money and counts of one month | LEDGER_MS, renewed on admission |
| bw:tenant:{t}:usage:{month} | hash | the same by day and model | LEDGER_MS, renewed on admission |
| bw:idempotency:{sha256} | hash | the submission an idempotency key belongs to | IDEMPOTENCY_MS |
| bw:abandoned:{sha256} | string | that a caller is held, or which prediction one has left | minutes: see `Abandoned` |
| bw:audit | list | the newest administrative actions, JSON | permanent: ≤ AUDIT_ENTRIES |
| bw:key:{sha256} | hash | one API key: its tenant, name, dates | permanent until revoked |
| bw:prediction:{id} | hash | one prediction | UNFINISHED_MS, then ENDED_MS, unless purged before |
| bw:prediction:{id}:events | hash | sequence → event JSON | as its prediction |
| bw:prediction:{id}:deliveries | set | ids of the deliveries of its events | as its prediction |
| bw:open | zset | what is still to be found out about, by when it is stuck | permanent: one per live record |
| bw:unconfirmed:{model}:{sha256} | zset | submissions of these inputs without a task | UNCONFIRMED_MS, renewed |
| bw:orphaned | zset | predictions closed by silence, by time | permanent: ≤ ORPHANS |
| bw:upstream:{upstream id} | string | the prediction that owns this upstream task | as its prediction |
| bw:delivery:{id} | hash | one event owed to one address | DELIVERY_MS, renewed at its end |
| bw:delivery:{id}:attempts | list | the newest attempts, JSON | as its delivery |
| bw:lane:{l} | hash | a receiver's health: breaker, successes, failures | LANE_MS, renewed by each attempt |
| bw:lane:{l}:due | zset | deliveries that wait, by due time | DELIVERY_MS, renewed by each |
| bw:lane:{l}:taken | zset | deliveries somebody is busy with, by the end of the lease | DELIVERY_MS, renewed by each |
| bw:lane:{l}:deliveries | zset | delivery id by the time it was owed | DELIVERY_MS, renewed by each |
| bw:lane:{l}:dead | zset | its dead letters, by time | DELIVERY_MS, renewed by each; ≤ DEAD_LETTERS |
| bw:due:poll, :retain | zset | prediction id by due time in ms: what is owed | permanent: one entry per live record |
| bw:due:deliver | zset | lane by when it is next worth looking at | permanent: one entry per lane in use |
| bw:due:submit | zset | prediction id by time of submission in ms: what waits | permanent: ≤ max_queued per tenant |
| bw:waiting:{class} | zset | tenant with submissions of the class that wait, by tag | permanent: one per tenant |
| bw:waiting:{class}:{t} | zset | a tenant's submissions that wait, by time in ms | permanent: ≤ max_queued |
| bw:waiting:tags | hash | tag each tenant has got to in each class, while anybody waits | permanent: two per tenant |
| bw:starts:{class} | zset | submissions sent in the last minute, by when they were over | until that is so |
| bw:leased:{call} | list | what one call took out of the queue, should its answer get lost | a minute |
| bw:suspects | set | models the upstream refuses though the account is good | an hour; ≤ SUSPECTS |
| bw:account | hash | what is known of the account: lowered limits, back-off, pause, balance | permanent: one |
| bw:upstream-reads | string | when the account's rate of reads is all free again, in µs | until then |
| bw:upstream-secret | hash | secrets WaveSpeed signs its callbacks with, encrypted: the last two | permanent: one |
| bw:dead | zset | deliveries given up, by time | DELIVERY_MS, renewed by each; ≤ DEAD_LETTERS |
| bw:canary | string | a known text under the encryption key | permanent: one |
| arq:queue, arq:cron | zset | arq's queues | permanent: one entry per wake-up |

arq's other keys (`arq:job:*`, `arq:in-progress:*`, `arq:retry:*`, health checks) carry lifetimes of arq's own.
"""

import re
from typing import Final, Literal

from service.domain.capacity import ModelClass
from service.domain.predictions import RETENTION_MS

DAY_MS: Final = 86_400_000

ENDED_MS: Final = RETENTION_MS + DAY_MS
"""Lifetime of an ended prediction should nobody purge it when its retention is over."""

UNCONFIRMED_MS: Final = DAY_MS
"""Lifetime of an index of submissions nobody has confirmed: each of them is given up long before."""

ORPHANS: Final = 10_000
"""How many predictions closed by silence are remembered; the oldest leave first."""

UNFINISHED_MS: Final = 30 * DAY_MS
"""Lifetime of a prediction that has not ended: far beyond any deadline, so that nothing owed can vanish."""

DELIVERY_MS: Final = 14 * DAY_MS
"""Lifetime of a delivery: the whole retry schedule takes under two days, the rest is for looking things up."""

LANE_MS: Final = 30 * DAY_MS
"""Lifetime of what is known of a receiver's health after the last attempt."""

EVENTS: Final = 100_000
"""How many events of a tenant are kept in order; the oldest leave first."""

LEDGER_MS: Final = 400 * DAY_MS
"""Lifetime of a month's ledger and usage: this month a year ago can be compared."""

IDEMPOTENCY_MS: Final = DAY_MS
"""How long an idempotency key is remembered."""

AUDIT_ENTRIES: Final = 10_000
"""How many administrative actions are remembered; the oldest leave first."""

DEAD_LETTERS: Final = 100_000
"""How many given-up deliveries the dead-letter index keeps; the oldest leave first."""

DueSet = Literal["poll", "deliver", "retain", "submit"]
"""The due sets: predictions to look at, receivers to deliver to, ended predictions whose time runs out, and submissions
that wait for capacity."""

TENANT_PREFIX: Final = "bw:tenant:"
API_KEY_PREFIX: Final = "bw:key:"
TENANTS: Final = "bw:tenants"
DEAD: Final = "bw:dead"
CANARY: Final = "bw:canary"
AUDIT: Final = "bw:audit"
OPEN: Final = "bw:open"
ORPHANED: Final = "bw:orphaned"
ACCOUNT: Final = "bw:account"
SUSPECTS: Final = "bw:suspects"
WAITING_PREFIX: Final = "bw:waiting:"
UNCONFIRMED_PREFIX: Final = "bw:unconfirmed:"
UPSTREAM_READS: Final = "bw:upstream-reads"
UPSTREAM_SECRET: Final = "bw:upstream-secret"  # noqa: S105 the name of a key
QUEUE: Final = "arq:queue"
CRON_QUEUE: Final = "arq:cron"
MOVES: Final = "bw:moves"
"""A channel, no key: `{prediction id}` for every event, and when a prediction is deleted."""
DELIVERY_PREFIX: Final = "bw:delivery:"
LANE_PREFIX: Final = "bw:lane:"
PREDICTION_PREFIX: Final = "bw:prediction:"

PERMANENT: Final = re.compile(
    r"bw:(tenants|tenant:[^:]+(:keys|:endpoints)?|key:[0-9a-f]{64}|due:(poll|deliver|retain|submit)|waiting:(tags|(video|image)(:[^:]+)?)|account|canary|audit|open|orphaned|upstream-secret)|arq:(queue|cron)"
)
"""The keys that may lack a lifetime; the table says what bounds each."""


def tenant(tenant_id: str) -> str:
    """Hash: one tenant."""
    return f"{TENANT_PREFIX}{tenant_id}"


def tenant_keys(tenant_id: str) -> str:
    """Hash: API key id → SHA-256 of the key."""
    return f"{TENANT_PREFIX}{tenant_id}:keys"


def tenant_endpoints(tenant_id: str) -> str:
    """Hash: endpoint id → its JSON."""
    return f"{TENANT_PREFIX}{tenant_id}:endpoints"


def tenant_deliveries(tenant_id: str) -> str:
    """Sorted set: delivery ids by the time they were owed, in ms."""
    return f"{TENANT_PREFIX}{tenant_id}:deliveries"


def tenant_dead(tenant_id: str) -> str:
    """Sorted set: the tenant's dead letters by time in ms."""
    return f"{TENANT_PREFIX}{tenant_id}:dead"


def tenant_events(tenant_id: str) -> str:
    """Stream: what happened, in order."""
    return f"{TENANT_PREFIX}{tenant_id}:events"


def tenant_predictions(tenant_id: str) -> str:
    """Sorted set: prediction ids by admission time in ms."""
    return f"{TENANT_PREFIX}{tenant_id}:predictions"


def tenant_deleted(tenant_id: str) -> str:
    """Sorted set: ids of the predictions the tenant deleted by admission time in ms: in no list, but in the books."""
    return f"{TENANT_PREFIX}{tenant_id}:deleted"


def tenant_slots(tenant_id: str) -> str:
    """Sorted set: ids of the predictions that hold a slot, by their hard deadline in ms."""
    return f"{TENANT_PREFIX}{tenant_id}:slots"


def tenant_rate(tenant_id: str) -> str:
    """String: when the tenant's rate is all free again, in microseconds."""
    return f"{TENANT_PREFIX}{tenant_id}:rate"


def ledger(tenant_id: str, month: str = "") -> str:
    """Hash: money and counts of one month (`2026-11`), or the prefix of them all."""
    return f"{TENANT_PREFIX}{tenant_id}:ledger:{month}"


def usage(tenant_id: str, month: str = "") -> str:
    """Hash: `day|model|column` → count or micro-dollars, of one month, or the prefix of them all."""
    return f"{TENANT_PREFIX}{tenant_id}:usage:{month}"


def idempotency(digest: str) -> str:
    """Hash: the submission an idempotency key belongs to."""
    return f"bw:idempotency:{digest}"


def abandoned(digest: str) -> str:
    """String: what is known of a synchronous request, by tenant and request."""
    return f"bw:abandoned:{digest}"


def api_key(digest: str) -> str:
    """Hash: one API key, found by its SHA-256 in hex."""
    return f"{API_KEY_PREFIX}{digest}"


def prediction(prediction_id: str) -> str:
    """Hash: one prediction."""
    return f"{PREDICTION_PREFIX}{prediction_id}"


def prediction_events(prediction_id: str) -> str:
    """Hash: sequence → event JSON."""
    return f"{PREDICTION_PREFIX}{prediction_id}:events"


def prediction_deliveries(prediction_id: str) -> str:
    """Set: ids of the deliveries of a prediction's events."""
    return f"{PREDICTION_PREFIX}{prediction_id}:deliveries"


def unconfirmed(model: str, input_sha256: str) -> str:
    """Sorted set: predictions of a model and inputs that may have a task nobody knows of, by admission in ms."""
    return f"{UNCONFIRMED_PREFIX}{model}:{input_sha256}"


def waiting(model_class: ModelClass, tenant_id: str = "") -> str:
    """Sorted set: a tenant's submissions of a class that wait, by time in ms; without a tenant, the tenants by tag."""
    return f"{WAITING_PREFIX}{model_class}" + (f":{tenant_id}" if tenant_id else "")


def leased(call: str) -> str:
    """List: what one call took out of the queue."""
    return f"bw:leased:{call}"


def starts(model_class: ModelClass) -> str:
    """Sorted set: submissions of a class of models that were sent in the last minute, by when they were over."""
    return f"bw:starts:{model_class}"


def upstream_task(upstream_id: str) -> str:
    """String: the prediction that owns this upstream task; set if absent."""
    return f"bw:upstream:{upstream_id}"


def delivery(delivery_id: str) -> str:
    """Hash: one delivery."""
    return f"{DELIVERY_PREFIX}{delivery_id}"


def delivery_attempts(delivery_id: str) -> str:
    """List: the newest attempts of one delivery, newest first."""
    return f"{DELIVERY_PREFIX}{delivery_id}:attempts"


def lane(lane_id: str) -> str:
    """Hash: a receiver's health."""
    return f"{LANE_PREFIX}{lane_id}"


def lane_due(lane_id: str) -> str:
    """Sorted set: its deliveries that wait, by due time in ms."""
    return f"{LANE_PREFIX}{lane_id}:due"


def lane_taken(lane_id: str) -> str:
    """Sorted set: its deliveries somebody is busy with, by the end of the lease in ms."""
    return f"{LANE_PREFIX}{lane_id}:taken"


def lane_deliveries(lane_id: str) -> str:
    """Sorted set: its delivery ids by the time they were owed, in ms."""
    return f"{LANE_PREFIX}{lane_id}:deliveries"


def lane_dead(lane_id: str) -> str:
    """Sorted set: its dead letters by time in ms."""
    return f"{LANE_PREFIX}{lane_id}:dead"


def due(name: DueSet) -> str:
    """Sorted set: what is owed, by due time in ms."""
    return f"bw:due:{name}"
