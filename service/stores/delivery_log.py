"""Deliveries: events owed to addresses, and the attempts made. They are created by the transition script alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from service.domain.predictions import json_bytes
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.scripts import Scripts

ATTEMPTS_KEPT: Final = 20
"""How many attempts a delivery remembers, newest first: more than the schedule makes."""


DeliveryState = Literal["pending", "delivered", "dead"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one address: a registered `endpoint`, or a request's own callback (`url`, `body`)."""

    id: str
    tenant: str
    prediction: str
    sequence: int
    event: str
    state: DeliveryState
    attempts: int
    created_at_ms: int
    endpoint: str = ""
    url: str = ""
    body: bytes = b""
    traceparent: str = ""


class DeliveryLog:
    """Deliveries in Redis. Every method raises `StoreUnavailable` when Redis is away; all can be repeated."""

    def __init__(self, commands: Commands, scripts: Scripts, now_ms: Callable[[], int] | None = None) -> None:
        self._commands = commands
        self._scripts = scripts
        self._now_ms = now_ms

    async def load(self, delivery_id: str) -> Delivery | None:
        """One delivery, or None when it is gone."""
        record = pairs(await self._commands("HGETALL", keys.delivery(delivery_id)))
        if not record:
            return None
        values: dict[str, Any] = {
            name: record[name.encode()] if name == "body" else record[name.encode()].decode()
            for name in Delivery.__slots__
            if name.encode() in record
        }
        values |= {name: int(values[name]) for name in ("sequence", "attempts", "created_at_ms")}
        return Delivery(**values | {"id": delivery_id})

    async def start_attempt(self, delivery_id: str, token: str) -> int:
        """Count an attempt before making it; 0 when it must not be made (lease lost, or nothing owed any more)."""
        number = await self._scripts.run(
            "start_attempt", keys=[keys.due("deliver"), keys.delivery(delivery_id)], args=[delivery_id, token]
        )
        return int(number)

    async def finish_attempt(
        self,
        delivery_id: str,
        token: str,
        state: DeliveryState,
        attempt: dict[str, Any],
        next_attempt_s: float = 0.0,
    ) -> bool:
        """Record an attempt and what follows from it. False when the lease was lost meanwhile."""
        ours = await self._scripts.run(
            "finish_attempt",
            keys=[
                keys.due("deliver"),
                keys.delivery(delivery_id),
                keys.delivery_attempts(delivery_id),
                keys.DEAD,
            ],
            args=[
                delivery_id,
                token,
                state,
                int(next_attempt_s * 1000),
                json_bytes(attempt),
                ATTEMPTS_KEPT,
                keys.DELIVERY_MS,
                keys.DEAD_LETTERS,
                "" if self._now_ms is None else self._now_ms(),
            ],
        )
        return bool(ours)
