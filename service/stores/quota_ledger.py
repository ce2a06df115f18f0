"""WHERE QUOTA AND MONEY MOVE: admission with every limit in one script, its withdrawal, and what a tenant has used.

Money is held by an admission and settled or released by the transition that ends the prediction (`PredictionStore`);
all of it is booked to the day of admission. When Redis is away every method raises `StoreUnavailable`; a write may or
may not have happened then, and all of them can be repeated.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from service.domain.capacity import CLASSES, Capacity
from service.domain.errors import (
    AccountPaused,
    IdempotencyConflict,
    IdempotencyMismatch,
    ModelDenied,
    NotFound,
    TenantSuspended,
)
from service.domain.limits import (
    CONCURRENCY_RETRY_S,
    DAY_S,
    NEAR,
    Ledger,
    LimitName,
    Limits,
    LimitState,
    QuotaExceeded,
    Window,
    window_of,
)
from service.domain.predictions import Prediction, State
from service.domain.usage import UsageRow
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.prediction_record import RECORD_VERSION, record_of
from service.stores.scripts import Scripts, optional

MAX_QUEUED: Final = 10_000
"""How many submissions a tenant may have waiting for capacity, unless it is told otherwise."""

LIVE_MS: Final = 7_000
"""How long a copy of a submission counts as being answered: longer than any answer takes. Later it has crashed."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's `Idempotency-Key`, in the scope of tenant and route, as a digest; and what was asked with it."""

    digest: str
    fingerprint: str


class Admission(NamedTuple):
    """An admitted submission: its record with the day it is booked to, and where the tenant's limits stand now.

    It is to be sent at once, unless it is `queued`. `low` says that the account's balance is. `replayed_id` names the
    prediction of an earlier copy instead; then nothing was admitted.
    """

    prediction: Prediction
    states: tuple[LimitState, ...] = ()
    replayed_id: str = ""
    low: bool = False


class QuotaLedger:
    """Limits, money and usage in Redis. `now_ms` replaces the server's clock in tests.

    `capacity` is the account's: a submission that finds none waits. `max_queued` is how many a tenant may have waiting
    that has no limit of its own for that.
    """

    def __init__(
        self,
        commands: Commands,
        scripts: Scripts,
        now_ms: Callable[[], int] | None = None,
        capacity: Capacity | None = None,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        self._commands = commands
        self._scripts = scripts
        self._now_ms = now_ms
        self._capacity = capacity or Capacity()
        self._max_queued = max_queued

    async def admit(
        self,
        intent: Prediction,
        look_within_s: float,
        slot_s: float,
        idempotency: IdempotencyKey | None = None,
        stuck_after_s: float = 3600.0,
    ) -> Admission:
        """Make the submission durable before it is sent, and charge every limit for it: all or nothing.

        It is looked at within `look_within_s` whatever happens, and counts as stuck if it has not moved after
        `stuck_after_s`; its slot is looked at after `slot_s`. Raises, with
        nothing written: `QuotaExceeded`, `NotFound` (a deleted tenant), `TenantSuspended`, `ModelDenied`,
        `AccountFault`, `IdempotencyMismatch`, `IdempotencyConflict`.
        """
        script_keys = [
            keys.prediction(intent.id),
            keys.tenant(intent.tenant),
            keys.tenant_predictions(intent.tenant),
            keys.due("poll"),
            keys.tenant_slots(intent.tenant),
            keys.tenant_rate(intent.tenant),
            keys.OPEN,
            keys.unconfirmed(intent.model, intent.input_sha256),
            keys.ACCOUNT,
            keys.due("submit"),
            keys.starts(intent.model_class),
        ]
        outcome, now_ms, found, *more = await self._scripts.run(
            "admit",
            keys=[*script_keys, keys.idempotency(idempotency.digest)] if idempotency else script_keys,
            args=[
                intent.id,
                int(look_within_s * 1000),
                keys.UNFINISHED_MS,
                "" if self._now_ms is None else self._now_ms(),
                intent.model,
                intent.price_micros,
                int(slot_s * 1000),
                keys.ledger(intent.tenant),
                keys.usage(intent.tenant),
                keys.LEDGER_MS,
                keys.PREDICTION_PREFIX,
                idempotency.fingerprint if idempotency else "",
                LIVE_MS,
                keys.IDEMPOTENCY_MS,
                keys.UNCONFIRMED_MS,
                int(stuck_after_s * 1000),
                intent.model_class,
                optional(self._capacity.concurrency),
                optional(self._capacity.per_minute.get(intent.model_class)),
                self._max_queued,
                keys.WAITING_PREFIX,
                intent.tenant,
                intent.created_at_ms,
                "v",
                RECORD_VERSION,
                *record_of(intent),
            ],
        )
        states = _states(more[1:], now_ms)
        match outcome:
            case b"admitted" | b"queued":
                state = State.QUEUED if outcome == b"queued" else intent.state
                admitted = intent._replace(day=found.decode() if found else "", state=state)
                return Admission(admitted, states, low=bool(more[0]))
            case b"replay":
                return Admission(intent, replayed_id=found.decode())
            case b"refused":
                raise QuotaExceeded(states)
            case b"no tenant":
                raise NotFound("the tenant of this key no longer exists")
            case b"suspended":
                raise TenantSuspended(f"tenant {intent.tenant} is suspended")
            case b"model denied":
                raise ModelDenied(f"tenant {intent.tenant} may not use model {intent.model}")
            case b"account":
                raise AccountPaused
            case b"live":
                raise IdempotencyConflict("a submission with this Idempotency-Key is being answered just now")
            case b"mismatch":
                raise IdempotencyMismatch("this Idempotency-Key was used for another request")
        raise AssertionError(f"unreachable: admit answered {outcome!r}")

    async def withdraw(
        self, intent: Prediction, idempotency: IdempotencyKey | None = None, *, unsent: bool = False
    ) -> bool:
        """Forget an admission that started nothing; False when it must not be forgotten.

        That is when it has moved on, or a copy of its request may have been answered with its id by now.
        Count, slot and idempotency key are given back, the money is released; the rate stays spent, and the account's
        too unless it is `unsent`.
        """
        script_keys = [
            keys.prediction(intent.id),
            keys.tenant_predictions(intent.tenant),
            keys.due("poll"),
            keys.tenant_slots(intent.tenant),
            keys.OPEN,
            keys.unconfirmed(intent.model, intent.input_sha256),
            keys.due("submit"),
            keys.starts(intent.model_class),
        ]
        gone = await self._scripts.run(
            "withdraw",
            keys=[*script_keys, keys.idempotency(idempotency.digest)] if idempotency else script_keys,
            args=[
                intent.id,
                keys.ledger(intent.tenant),
                keys.usage(intent.tenant),
                "" if self._now_ms is None else self._now_ms(),
                int(unsent),
                intent.tenant,
                intent.model_class,
                keys.WAITING_PREFIX,
            ],
        )
        return bool(gone)

    async def ledger(self, tenant_id: str, month: str) -> Ledger:
        """Money and counts of one month (`2026-11`); all zero for a month without a submission."""
        fields = pairs(await self._commands("HGETALL", keys.ledger(tenant_id, month)))
        numbers = {name.decode(): int(value) for name, value in fields.items()}
        return Ledger(
            month,
            held=numbers.get("held", 0),
            settled=numbers.get("settled", 0),
            released=numbers.get("released", 0),
            ever_held=numbers.get("ever", 0),
            admitted=numbers.get("admitted", 0),
            admitted_by_day={
                name.removeprefix("admitted:"): value for name, value in numbers.items() if name.startswith("admitted:")
            },
        )

    async def usage(self, tenant_id: str, month: str) -> list[UsageRow]:
        """What a tenant did in one month, by day and model, in that order."""
        fields = pairs(await self._commands("HGETALL", keys.usage(tenant_id, month)))
        rows: dict[tuple[str, str], dict[str, int]] = {}
        for name, value in fields.items():
            day, model, column = name.decode().split("|")
            rows.setdefault((day, model), {})[column] = int(value)
        return [UsageRow(tenant_id, day, model, counts) for (day, model), counts in sorted(rows.items())]

    async def standing(self, tenant_id: str, limits: Limits, now_ms: int) -> tuple[LimitState, ...]:
        """Where every limit that is set stands, without spending anything."""
        window = window_of(now_ms)
        ledger, full_at, slots, *waiting = await asyncio.gather(  # one round trip
            self.ledger(tenant_id, window.month),
            self._commands("GET", keys.tenant_rate(tenant_id)),
            self._commands("ZCARD", keys.tenant_slots(tenant_id)),
            *(self._commands("ZCARD", keys.waiting(one, tenant_id)) for one in CLASSES),
        )
        states = []
        if limits.rate_per_minute is not None:
            states.append(_rate_standing(limits, int(full_at or 0), now_ms))
        spent: tuple[tuple[LimitName, int | None, int], ...] = (
            ("concurrency", limits.concurrency, slots),
            ("daily", limits.daily, ledger.admitted_by_day.get(window.day, 0)),
            ("monthly", limits.monthly, ledger.admitted),
            ("budget", limits.budget_micros, ledger.spent),
            ("queued", limits.max_queued, sum(waiting)),
        )
        for name, limit, used in spent:
            if limit is not None:
                left = limit - used
                states.append(_windowed(name, limit, left, now_ms, window, _verdict(limit, left)))
        return tuple(states)


def _rate_standing(limits: Limits, full_at_us: int, now_ms: int) -> LimitState:
    """Where the rate stands: the admission script's arithmetic, without spending."""
    per_minute = limits.rate_per_minute or 1
    size = limits.burst or per_minute
    step_us = -(-60_000_000 // per_minute)
    now_us = now_ms * 1000
    full_at_us = max(now_us, min(full_at_us, now_us + step_us * size))
    left = (now_us + step_us * size - full_at_us) // step_us
    resets_in_ms = -(-(full_at_us - now_us) // 1000)
    return LimitState("rate", size, left, resets_in_ms, -(-step_us * size // 1_000_000), _verdict(size, left))


def _verdict(limit: int, left: int) -> Literal["ok", "near"]:
    """Whether a limit's use is near it."""
    return "near" if limit - left >= limit * NEAR else "ok"


def _states(answers: Sequence[Any], now_ms: int) -> tuple[LimitState, ...]:
    """Every limit from the script's answer."""
    if not answers:
        return ()
    window = window_of(now_ms)
    return tuple(_state(answer, now_ms, window) for answer in answers)


def _state(answer: Sequence[Any], now_ms: int, window: Window) -> LimitState:
    """One limit from the script's answer; only the rate's reset and window are the script's to say."""
    name, limit, left, reset_ms, window_ms, verdict = answer
    known = name.decode()
    if known == "rate":
        return LimitState(known, limit, left, reset_ms, -(-window_ms // 1000), verdict.decode())
    return _windowed(known, limit, left, now_ms, window, verdict.decode())


def _windowed(name: LimitName, limit: int, left: int, now_ms: int, window: Window, verdict: Any) -> LimitState:
    """A limit whose window is the calendar's, or that has none."""
    match name:
        case "daily":
            return LimitState(name, limit, left, window.day_ends_ms - now_ms, DAY_S, verdict)
        case "monthly" | "budget":
            return LimitState(name, limit, left, window.month_ends_ms - now_ms, window.month_s, verdict)
        case _:
            return LimitState(name, limit, left, CONCURRENCY_RETRY_S * 1000 if left < 1 else 0, 0, verdict)
