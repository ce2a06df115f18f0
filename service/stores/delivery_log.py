"""Deliveries: messages owed to addresses, the attempts made, and the lists they are found in."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic_core import from_json

from service.domain.deliveries import Delivery, DeliveryState
from service.domain.endpoints import Endpoint
from service.domain.json_forms import json_bytes
from service.domain.lanes import BREAKER_HOLD_S, BREAKER_MAX_HOLD_S, BREAKER_TROUBLES, Sign
from service.stores import keys
from service.stores.commands import Commands
from service.stores.endpoint_store import endpoint_of
from service.stores.scripts import Scripts

ATTEMPTS_KEPT: Final = 20
"""How many attempts a delivery remembers, newest first: more than the schedule makes."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")

CURSOR: Final = re.compile(r"[0-9]{1,15}_[0-9]{1,9}")
"""A place in a list: a time, and how many of that moment were passed."""

_ROUNDS: Final = 10
"""How many times a page's length of entries is looked at for one page."""

Resent = Literal["queued", "gone", "busy", "not dead"]
"""What came of resending: it is due; there is no such delivery; an attempt is being made; it is not a dead letter."""


_FIELDS: Final = frozenset(Delivery.__slots__) - {"id"}
_NUMBERS: Final = frozenset({"sequence", "attempts", "created_at_ms", "schedule_from", "last_attempt_at_ms"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted, and what making it needs: `endpoint` is None for a request's own callback.

    `callback_allow` is the tenant's own list, None when it has none; `callback_secret` signs those, and is encrypted.
    """

    delivery: Delivery
    number: int
    endpoint: Endpoint | None
    body: bytes
    callback_allow: str | None
    callback_secret: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A delivery that can never be made any more, and why; no attempt was counted."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What was written of an attempt: whether the lease was still ours, whether its lane has more to do now, what
    became of the lane's breaker, and for how many seconds there has been nothing but failure.
    """

    ours: bool
    more: bool
    breaker: Literal["opened", "closed", ""]
    failing_s: float


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, newest first, and where the next one begins (None: nowhere)."""

    deliveries: list[Delivery]
    cursor: str | None


def _delivery(delivery_id: str, record: Sequence[bytes]) -> Delivery:
    """Read a delivery from its hash; fields of a newer version are left alone."""
    values: dict[str, Any] = {}
    for field, value in zip(record[::2], record[1::2], strict=True):
        if (name := field.decode()) in _FIELDS:
            values[name] = int(value) if name in _NUMBERS else value if name == "body" else value.decode()
    return Delivery(id=delivery_id, **values)


class DeliveryLog:
    """Deliveries in Redis. Every method raises `StoreUnavailable` when Redis is away; all can be repeated.

    `places` is how many deliveries of one lane may be in hand at a time; `scale` multiplies the breaker's times.
    """

    def __init__(
        self,
        commands: Commands,
        scripts: Scripts,
        now_ms: Callable[[], int] | None = None,
        places: int = 8,
        scale: float = 1.0,
    ) -> None:
        self._commands = commands
        self._scripts = scripts
        self._now_ms = now_ms
        self._places = places
        self._scale = scale

    def _now(self) -> int | str:
        return "" if self._now_ms is None else self._now_ms()

    async def load(self, delivery_id: str) -> Delivery | None:
        """One delivery, or None when there is none, or none any more."""
        if not _ID.fullmatch(delivery_id):
            return None
        record = await self._commands("HGETALL", keys.delivery(delivery_id))
        return _delivery(delivery_id, record) if record else None

    async def attempts(self, delivery_id: str) -> list[dict[str, Any]]:
        """The newest attempts, the first of them first."""
        kept = await self._commands("LRANGE", keys.delivery_attempts(delivery_id), 0, -1)
        return [from_json(raw) for raw in reversed(kept)]

    async def next_attempt_at_ms(self, delivery: Delivery) -> int | None:
        """When it waits for, in unix ms; None when it does not wait."""
        due = await self._commands("ZSCORE", keys.lane_due(delivery.lane), delivery.id)
        return None if due is None else int(float(due))

    async def owe(self, delivery: Delivery) -> None:
        """Owe a message that belongs to no prediction."""
        fields = ("tenant", "event", "message_id", "endpoint", "body")
        await self._scripts.run(
            "owe_message",
            keys=[keys.due("deliver"), keys.delivery(delivery.id), keys.tenant_deliveries(delivery.tenant)],
            args=[
                delivery.id,
                delivery.lane,
                keys.LANE_PREFIX,
                keys.DELIVERY_PREFIX,
                keys.DELIVERY_MS,
                self._now(),
                *(part for name in fields for part in (name, getattr(delivery, name))),
            ],
        )

    async def start_attempt(self, delivery_id: str, token: str) -> Attempt | Unsendable | None:
        """Count an attempt before making it, and read all it needs; None when it must not be made.

        That is when the lease was lost, or nothing is owed any more.
        """
        found, *read = await self._scripts.run(
            "start_attempt",
            keys=[keys.due("deliver"), keys.delivery(delivery_id)],
            args=[delivery_id, token, keys.LANE_PREFIX, self._now(), keys.TENANT_PREFIX, keys.PREDICTION_PREFIX],
        ) or [None]
        if found is None:
            return None
        delivery = _delivery(delivery_id, read[0])
        if isinstance(found, bytes):
            return Unsendable(delivery, found.decode())
        _, endpoint, body, allow, secret = read
        return Attempt(
            delivery,
            found,
            endpoint_of(endpoint) if endpoint else None,
            body,
            None if allow is None else allow.decode(),
            secret.decode(),
        )

    async def hold(self, delivery_id: str, token: str, delay_s: float) -> bool:
        """Give a leased delivery back for later, its attempt not made after all. False when the lease was lost."""
        held = await self._scripts.run(
            "hold_delivery",
            keys=[keys.due("deliver"), keys.delivery(delivery_id)],
            args=[
                delivery_id,
                token,
                int(delay_s * 1000),
                keys.LANE_PREFIX,
                keys.DELIVERY_MS,
                self._now(),
            ],
        )
        return bool(held)

    async def finish_attempt(
        self,
        delivery: Delivery,
        token: str,
        state: DeliveryState,
        attempt: dict[str, Any],
        next_attempt_s: float = 0.0,
        sign: Sign = "nothing",
        *,
        listed: bool = True,
    ) -> Finished:
        """Record an attempt, what follows from it, and what it says of its lane; a dead one is `listed` as such."""
        ours, more, breaker, failing_ms = await self._scripts.run(
            "finish_attempt",
            keys=[
                keys.due("deliver"),
                keys.delivery(delivery.id),
                keys.delivery_attempts(delivery.id),
                keys.DEAD,
                keys.tenant_dead(delivery.tenant),
            ],
            args=[
                delivery.id,
                token,
                state,
                int(next_attempt_s * 1000),
                json_bytes(attempt),
                ATTEMPTS_KEPT,
                keys.DELIVERY_MS,
                keys.DEAD_LETTERS,
                self._now(),
                keys.LANE_PREFIX,
                self._places,
                sign,
                BREAKER_TROUBLES,
                int(BREAKER_HOLD_S * self._scale * 1000),
                int(BREAKER_MAX_HOLD_S * self._scale * 1000),
                keys.LANE_MS,
                attempt.get("error") or "",
                int(listed),
            ],
        )
        return Finished(bool(ours), bool(more), breaker.decode(), failing_ms / 1000)

    async def resend(self, delivery: Delivery, *, only_dead: bool = False) -> Resent:
        """Have it attempted again, with a whole schedule; its id and that of its message stay."""
        outcome = await self._scripts.run(
            "resend_delivery",
            keys=[keys.due("deliver"), keys.delivery(delivery.id), keys.DEAD, keys.tenant_dead(delivery.tenant)],
            args=[delivery.id, keys.LANE_PREFIX, keys.DELIVERY_MS, self._now(), "dead" if only_dead else ""],
        )
        resent: Resent = outcome.decode()
        return resent

    async def page(self, index: str, limit: int, cursor: str | None, accept: Callable[[Delivery], bool]) -> Page:
        """A page of one of the lists (`keys`), newest first: what `accept` lets through of the next entries.

        Only so many are looked at, so a page may be short, or empty, and still have one after it. Raises `ValueError`
        for a cursor that is none of ours.
        """
        at, _, passed = (cursor or "+inf_0").partition("_")
        if cursor and not CURSOR.fullmatch(cursor):
            raise ValueError("not a cursor of this list")
        skip = int(passed)  # how many of those at that very time the pages before have shown
        found: list[Delivery] = []
        for _ in range(_ROUNDS):
            entries = await self._commands(
                "ZRANGE", index, at, "-inf", "BYSCORE", "REV", "LIMIT", skip, limit, "WITHSCORES"
            )
            loaded = await asyncio.gather(*(self.load(raw.decode()) for raw in entries[::2]))
            for delivery, score in zip(loaded, entries[1::2], strict=True):
                now_at = str(int(float(score)))
                at, skip = now_at, skip + 1 if now_at == at else 1
                if delivery is not None and accept(delivery):
                    found.append(delivery)
                if len(found) == limit:
                    return Page(found, f"{at}_{skip}")
            if len(entries) < 2 * limit:
                return Page(found, None)
        return Page(found, f"{at}_{skip}")

    async def dead_since(self, index: str, since_ms: int, skip: int, limit: int) -> list[str]:
        """Ids in an index of dead letters that were given up since a time, oldest first."""
        ids = await self._commands("ZRANGE", index, since_ms, "+inf", "BYSCORE", "LIMIT", skip, limit)
        return [raw.decode() for raw in ids]

    async def of_prediction(self, prediction_id: str) -> list[Delivery]:
        """Every delivery of a prediction's events, newest first."""
        ids: Sequence[bytes] = await self._commands("SMEMBERS", keys.prediction_deliveries(prediction_id))
        loaded = await asyncio.gather(*(self.load(raw.decode()) for raw in ids))
        found = [delivery for delivery in loaded if delivery is not None]
        return sorted(found, key=lambda one: (-one.created_at_ms, -one.sequence, one.id))
