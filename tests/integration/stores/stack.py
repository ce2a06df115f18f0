"""Every store on one real Redis, with a clock that only the test moves."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from arq.connections import ArqRedis
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.asyncio import Redis

from service.domain.answers import initial_answer
from service.domain.endpoints import Endpoint, Secret
from service.domain.limits import Limits
from service.domain.moves import confirmed, observed
from service.domain.predictions import Change, Observation, Prediction, State
from service.domain.tenants import Tenant, TenantState
from service.domain.webhook_signature import new_secret
from service.metrics import Metrics
from service.resources import connect_arq
from service.settings import Settings
from service.stores.api_key_store import ApiKeyStore
from service.stores.commands import Commands
from service.stores.connections import connect
from service.stores.delivery_log import DeliveryLog
from service.stores.encryption import Encryption
from service.stores.endpoint_store import EndpointStore
from service.stores.prediction_store import PredictionStore
from service.stores.quota_ledger import QuotaLedger
from service.stores.scripts import Scripts
from service.stores.tenant_store import TenantStore
from service.stores.work_schedule import WorkSchedule

KEY: Final = urlsafe_b64encode(b"k" * 32).decode()
OTHER_KEY: Final = urlsafe_b64encode(b"o" * 32).decode()
START_MS: Final = 1_800_000_000_000


class Clock:
    """Unix time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def ms(self) -> int:
        """Now in milliseconds, as scripts are given it."""
        return self.now_ms

    def s(self) -> float:
        """Now in seconds, as everything else reads it."""
        return self.now_ms / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * 1000)


@dataclass(frozen=True, slots=True)
class Stack:
    """The stores, what they stand on, and the tenant `acme`."""

    clock: Clock
    redis: Redis
    commands: Commands
    scripts: Scripts
    arq: ArqRedis
    metrics: Metrics
    encryption: Encryption
    schedule: WorkSchedule
    predictions: PredictionStore
    ledger: QuotaLedger
    tenants: TenantStore
    keys: ApiKeyStore
    endpoints: EndpointStore
    deliveries: DeliveryLog

    async def add_tenant(
        self, tenant_id: str = "acme", state: TenantState = TenantState.ACTIVE, limits: Limits | None = None
    ) -> Tenant:
        """Store a tenant."""
        tenant = Tenant(tenant_id, tenant_id.title(), state, START_MS, limits=limits or Limits())
        await self.tenants.create(tenant, new_secret())
        return tenant

    async def add_endpoint(self, endpoint_id: str, *events: str, **fields: Any) -> Endpoint:
        """Store an endpoint of `acme` that wants `events` (none: all of them)."""
        defaults: dict[str, Any] = {
            "tenant": "acme",
            "url": f"http://127.0.0.1:9/{endpoint_id}",
            "description": "",
            "created_at_ms": START_MS,
            "secrets": (Secret(self.encryption.encrypt(new_secret()).decode()),),
        }
        endpoint = Endpoint(id=endpoint_id, events=events, **defaults | fields)
        await self.endpoints.add(endpoint)
        return endpoint

    async def admit(self, prediction_id: str = "p1", **fields: Any) -> Prediction:
        """Admit a submission of `acme`."""
        prediction = intent(prediction_id, **fields)
        return (await self.ledger.admit(prediction, 70.0, 3600.0)).prediction

    async def confirm(self, before: Prediction, upstream_id: str = "", next_look_s: float = 30.0) -> Prediction:
        """Confirm an admission under an upstream id."""
        change = confirmed(before, upstream_id or f"up-{before.id}", self.clock.ms())
        return await self.write(before, change, next_look_s=next_look_s)

    async def complete(self, before: Prediction, callback_body: bytes = b"") -> Prediction:
        """End a running prediction well, with an event."""
        return await self.write(before, completed(before, self.clock.ms()), callback_body=callback_body)

    async def write(
        self, before: Prediction, change: Change | None, *, next_look_s: float | None = None, callback_body: bytes = b""
    ) -> Prediction:
        """Write a legal change that must go through; the prediction as it stands afterwards."""
        assert change is not None
        body = b'{"type":"%s"}' % change.event.encode() if change.event else b""
        moved = await self.predictions.move(
            before, change, next_look_s=next_look_s, event_body=body, callback_body=callback_body
        )
        assert moved.outcome == "moved", moved
        return change.after

    async def owe_delivery(self, prediction_id: str = "p1", callback_url: str = "") -> str:
        """Bring a prediction of `acme` to its end; the id of the one delivery that follows."""
        before = await self.confirm(await self.admit(prediction_id, callback_url=callback_url))
        await self.complete(before, b'{"id":"cb"}' if callback_url else b"")
        (delivery_id,) = [one for one in await self.due("deliver") if one.startswith(prediction_id)]
        return delivery_id

    async def lease_one(self, delivery_id: str, lease_s: float = 25.0) -> str:
        """Lease that delivery, which must be all that is due; the token."""
        leased = await self.schedule.lease("deliver", 10, lease_s)
        assert leased.ids == (delivery_id,)
        return leased.token

    async def due(self, due_set: str) -> dict[str, int]:
        """What a due set holds: id → due time in ms, or the end of its lease; of deliveries, in whatever lane."""
        sets = [f"bw:due:{due_set}"]
        if due_set == "deliver":
            sets = [raw.decode() for kind in ("due", "taken") for raw in await self.redis.keys(f"bw:lane:*:{kind}")]
        stored = [await self.redis.zrange(one, 0, -1, withscores=True) for one in sets]
        return {raw.decode(): int(score) for entries in stored for raw, score in entries}

    async def dump(self) -> dict[bytes, Any]:
        """Everything Redis holds: key → its value, in an order of ours and not of the server's."""
        reads: dict[bytes, Callable[[Any], Any]] = {
            b"hash": self.redis.hgetall,
            b"set": self.redis.smembers,
            b"string": self.redis.get,
            b"zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True),
            b"list": lambda key: self.redis.lrange(key, 0, -1),
            b"stream": self.redis.xrange,
        }
        return {key: await reads[await self.redis.type(key)](key) for key in sorted(await self.redis.keys())}

    async def ttl_ms(self, key: str) -> int:
        """Lifetime left of a key, in ms."""
        return int(await self.redis.pttl(key))

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value, 0 when nothing was counted."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def intent(prediction_id: str = "p1", **fields: Any) -> Prediction:
    """A submission of `acme` before it was sent."""
    defaults: dict[str, Any] = {
        "tenant": "acme",
        "model": "openai/sora-2",
        "state": State.SUBMITTING,
        "created_at_ms": START_MS,
        "input": b'{"prompt":"a wave"}',
        "input_bytes": 19,
        "price_micros": 400_000,
        "money": "held",
        "answer": initial_answer(prediction_id, "openai/sora-2", START_MS),
    }
    return Prediction(id=prediction_id, **defaults | fields)


def completed(before: Prediction, now_ms: int) -> Change:
    """What the upstream's good news changes."""
    seen = Observation("completed", "completed", {"outputs": ["https://cdn.example/1.mp4"]})
    change = observed(before, seen, now_ms)
    assert change is not None
    return change


def process_settings(redis_url: str, **fields: Any) -> Settings:
    """Settings of a process on that Redis."""
    values: dict[str, Any] = {
        "redis_url": SecretStr(redis_url),
        "upstream_url": "http://127.0.0.1:9",
        "wavespeed_api_key": SecretStr("sk-upstream"),
        "encryption_key": (SecretStr(KEY),),
        "callback_allow": "127.0.0.1/32",
    }
    return Settings(**values | fields)


@asynccontextmanager
async def open_stack(redis_url: str, *encryption_keys: str, clock: Clock | None = None) -> AsyncIterator[Stack]:
    """Open every store by hand, as one process would, on a clock of its own or the given one."""
    clock = clock or Clock()
    client, watcher = connect(redis_url, max_connections=4), Redis.from_url(redis_url)
    commands = Commands(client)
    scripts = Scripts(commands)
    arq = connect_arq(process_settings(redis_url))
    metrics = Metrics(CollectorRegistry(), "0")
    encryption = Encryption(encryption_keys or (KEY,))
    schedule = WorkSchedule(commands, scripts, arq, metrics, clock.s, clock.ms)
    try:
        yield Stack(
            clock=clock,
            redis=watcher,
            commands=commands,
            scripts=scripts,
            arq=arq,
            metrics=metrics,
            encryption=encryption,
            schedule=schedule,
            predictions=PredictionStore(commands, scripts, clock.ms),
            ledger=QuotaLedger(commands, scripts, clock.ms),
            tenants=TenantStore(commands, scripts, encryption),
            keys=ApiKeyStore(commands, scripts, clock.ms),
            endpoints=EndpointStore(commands, scripts, clock.ms),
            deliveries=DeliveryLog(commands, scripts, clock.ms),
        )
    finally:
        await schedule.aclose()
        await arq.aclose(close_connection_pool=True)
        await commands.aclose()
        await asyncio.gather(client.aclose(), watcher.aclose())
