"""Every Redis key: name, type, lifetime, writer. No other module spells a key.

| key | type | what it holds | lifetime |
|---|---|---|---|
| bw:tenants | set | ids of all tenants | permanent: bounded by operators |
| bw:tenant:{t} | hash | one tenant | permanent: one per tenant |
| bw:tenant:{t}:keys | hash | API key id → SHA-256 of the key | permanent: ≤ 100 per tenant |
| bw:tenant:{t}:endpoints | hash | endpoint id → its JSON | permanent: ≤ 50 per tenant |
| bw:tenant:{t}:predictions | zset | prediction id by admission time, in ms | retention, renewed on admission |
| bw:key:{sha256} | hash | one API key: its tenant, name, dates | permanent until revoked |
| bw:prediction:{id} | hash | one prediction | UNFINISHED_MS, then RETENTION_MS |
| bw:prediction:{id}:events | hash | sequence → event JSON | as its prediction |
| bw:upstream:{upstream id} | string | the prediction that owns this upstream task | as its prediction |
| bw:delivery:{id} | hash | one event owed to one address | DELIVERY_MS, renewed at its end |
| bw:delivery:{id}:attempts | list | the newest attempts, JSON | as its delivery |
| bw:due:poll, bw:due:deliver | zset | id by due time in ms: what is owed | permanent: one entry per live record |
| bw:dead | zset | deliveries given up, by time | permanent: ≤ DEAD_LETTERS |
| bw:canary | string | a known text under the encryption key | permanent: one |
| arq:queue, arq:cron | zset | arq's queues | permanent: one entry per wake-up |

arq's other keys (`arq:job:*`, `arq:in-progress:*`, `arq:retry:*`, health checks) carry lifetimes of arq's own.
"""

import re
from typing import Final, Literal

DAY_MS: Final = 86_400_000

RETENTION_MS: Final = 7 * DAY_MS
"""How long an ended prediction is kept after its end, as upstream keeps its outputs."""

UNFINISHED_MS: Final = 30 * DAY_MS
"""Lifetime of a prediction that has not ended: far beyond any deadline, so that nothing owed can vanish."""

DELIVERY_MS: Final = 14 * DAY_MS
"""Lifetime of a delivery: the whole retry schedule takes under two days, the rest is for looking things up."""

DEAD_LETTERS: Final = 100_000
"""How many given-up deliveries the dead-letter index keeps; the oldest leave first."""

DueSet = Literal["poll", "deliver"]
"""The due sets: predictions to look at, deliveries to attempt."""

TENANT_PREFIX: Final = "bw:tenant:"
API_KEY_PREFIX: Final = "bw:key:"
TENANTS: Final = "bw:tenants"
DEAD: Final = "bw:dead"
CANARY: Final = "bw:canary"
QUEUE: Final = "arq:queue"
CRON_QUEUE: Final = "arq:cron"
DELIVERY_PREFIX: Final = "bw:delivery:"

PERMANENT: Final = re.compile(
    r"bw:(tenants|tenant:[^:]+(:keys|:endpoints)?|key:[0-9a-f]{64}|due:(poll|deliver)|dead|canary)|arq:(queue|cron)"
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


def tenant_predictions(tenant_id: str) -> str:
    """Sorted set: prediction ids by admission time in ms."""
    return f"{TENANT_PREFIX}{tenant_id}:predictions"


def api_key(digest: str) -> str:
    """Hash: one API key, found by its SHA-256 in hex."""
    return f"{API_KEY_PREFIX}{digest}"


def prediction(prediction_id: str) -> str:
    """Hash: one prediction."""
    return f"bw:prediction:{prediction_id}"


def prediction_events(prediction_id: str) -> str:
    """Hash: sequence → event JSON."""
    return f"bw:prediction:{prediction_id}:events"


def upstream_task(upstream_id: str) -> str:
    """String: the prediction that owns this upstream task; set if absent."""
    return f"bw:upstream:{upstream_id}"


def delivery(delivery_id: str) -> str:
    """Hash: one delivery."""
    return f"{DELIVERY_PREFIX}{delivery_id}"


def delivery_attempts(delivery_id: str) -> str:
    """List: the newest attempts of one delivery, newest first."""
    return f"{DELIVERY_PREFIX}{delivery_id}:attempts"


def due(name: DueSet) -> str:
    """Sorted set: what is owed, by due time in ms."""
    return f"bw:due:{name}"


def record(name: DueSet, item_id: str) -> str:
    """Hash: the record behind an item of a due set."""
    return prediction(item_id) if name == "poll" else delivery(item_id)
