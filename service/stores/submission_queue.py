"""WHERE SUBMISSIONS WAIT: the queue before the account, in fair order, and what is known of the account's capacity.

Every decision is one script. When Redis is away every method raises `StoreUnavailable`; all of them can be repeated.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic_core import from_json
from uuid_utils import uuid7

from service.domain.capacity import CLASSES, AccountState, Capacity, LimitInForce, ModelClass, Prospects
from service.domain.json_forms import json_bytes
from service.domain.predictions import Prediction
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.insisting import HICCUP_S, insist
from service.stores.scripts import Scripts, optional
from service.stores.work_schedule import Leased

Verdict = Literal["concurrency", "rate", "unreachable", "over", "well"]
"""What a submission that was sent says of the account: no capacity, nobody there, nothing, or that it takes more."""

SUSPECTS: Final = 100
SUSPECTS_MS: Final = 3_600_000
"""How many models are remembered, and for how long, that the upstream refuses though it refuses no others."""

BACK_OFF_S: Final = (5.0, 60.0)
"""Shortest and longest time without submissions after the upstream refused one for want of capacity, in seconds."""

_STUCK_MS: Final = 7_200_000
"""When one that was taken out of the queue counts as stuck, should nobody ever say what came of it."""

_NAMED_AGAIN_MS: Final = 10_000
_ANSWER_KEPT_MS: Final = 60_000
_COUNTED: Final = 1_000
"""Most tenants that are counted for a place in the queue or listed."""


class SubmissionQueue:
    """The queue. `over_s` is when a submission is over at the latest, `max_wait_s` how long one may wait."""

    def __init__(
        self,
        commands: Commands,
        scripts: Scripts,
        capacity: Capacity,
        over_s: float,
        max_wait_s: float,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._commands = commands
        self._scripts = scripts
        self.capacity = capacity
        self._over_ms = int(over_s * 1000)
        self.max_wait_s = max_wait_s
        self._now_ms = now_ms

    def _now(self) -> int | str:
        return "" if self._now_ms is None else self._now_ms()

    async def lease(self, limit: int) -> Leased:
        """Take up to `limit` submissions for which there is capacity; they are `submitting` from then on.

        Among them are those that have waited for too long, which are `queued` still. Asked for again when the answer
        got lost: what was taken out is known to nobody else.
        """
        call = uuid7().hex
        token, next_ms, *ids = await insist(lambda: self._lease(limit, call), HICCUP_S)
        return Leased(token.decode(), tuple(one.decode() for one in ids), int(next_ms) / 1000 if next_ms else None)

    async def _lease(self, limit: int, call: str) -> Any:
        """One try; the answer to a `call` that was made before is given again."""
        return await self._scripts.run(
            "lease_queued",
            keys=[
                keys.due("submit"),
                keys.ACCOUNT,
                keys.OPEN,
                keys.due("poll"),
                *(keys.starts(one) for one in CLASSES),
                keys.leased(call),
            ],
            args=[
                limit,
                self._over_ms,
                self._now(),
                optional(self.capacity.concurrency),
                *(optional(self.capacity.per_minute.get(one)) for one in CLASSES),
                int(self.max_wait_s * 1000),
                _STUCK_MS,
                keys.WAITING_PREFIX,
                keys.PREDICTION_PREFIX,
                keys.TENANT_PREFIX,
                keys.UNCONFIRMED_PREFIX,
                keys.UNCONFIRMED_MS,
                _NAMED_AGAIN_MS,
                _ANSWER_KEPT_MS,
            ],
        )

    async def heard(self, verdict: Verdict, model_class: ModelClass, retry_after_s: float | None = None) -> None:
        """Learn from what the upstream answered. `retry_after_s` is its own wish."""
        await self._scripts.run(
            "upstream_said",
            keys=[keys.ACCOUNT, keys.OPEN],
            args=[
                verdict,
                model_class,
                self._now(),
                optional(self.capacity.concurrency),
                optional(self.capacity.per_minute.get(model_class)),
                "" if retry_after_s is None else int(retry_after_s * 1000),
                *(int(bound_s * 1000) for bound_s in BACK_OFF_S),
            ],
        )

    async def refused(self, prediction: Prediction, why: str) -> bool:
        """The upstream refuses the account because of such a submission: pause, and say whether it is paused now.

        Not when the account has proved good since such a one was refused before: then it is the submission's own fault.
        """
        paused = await self._scripts.run(
            "refuse_account",
            keys=[keys.ACCOUNT, keys.SUSPECTS],
            args=[prediction.model, prediction.price_micros, self._now(), why],
        )
        return bool(paused)

    async def pause(self, at_ms: int, why: str) -> None:
        """Have nothing taken out until `resume`: an operator wants it so. What comes in waits."""
        await self._commands("HSET", keys.ACCOUNT, "paused_by", "operator", "paused_at", at_ms, "paused_why", why)

    async def resume(self) -> bool:
        """End a pause, whoever began it, and any back-off; whether there was one."""
        return await self._resume("", "", "")

    async def try_again(self, paused_at_ms: int, *, proved_good: bool) -> bool:
        """End the upstream's own pause that began then, so that the next submission tells; whether it did.

        `proved_good` when the account answers and has money enough for what was refused.
        """
        return await self._resume("account", str(paused_at_ms), int(proved_good))

    async def _resume(self, by: str, at_ms: str, proved_good: int | str) -> bool:
        """End a pause, if it is the one that is meant."""
        args = [by, at_ms, proved_good, SUSPECTS, SUSPECTS_MS]
        return bool(await self._scripts.run("resume_account", keys=[keys.ACCOUNT, keys.SUSPECTS], args=args))

    async def waits(self) -> bool:
        """Whether anything waits."""
        return bool(await self._commands("EXISTS", keys.due("submit")))

    async def note_balance(self, balance_micros: int, at_ms: int, *, low: bool) -> None:
        """Remember the account's balance, and whether it is low."""
        await self._commands("HSET", keys.ACCOUNT, "balance", balance_micros, "balance_at", at_ms)
        await (self._commands("HSET", keys.ACCOUNT, "low", 1) if low else self._commands("HDEL", keys.ACCOUNT, "low"))

    async def before(self, prediction: Prediction) -> int | None:
        """How many submissions are before a waiting one, if nobody else comes; None when it does not wait."""
        number: int = await self._scripts.run(
            "place_in_queue",
            keys=[keys.due("submit")],
            args=[
                prediction.id,
                prediction.tenant,
                prediction.model_class,
                keys.WAITING_PREFIX,
                keys.TENANT_PREFIX,
                _COUNTED,
            ],
        )
        return None if number < 0 else number

    async def account(self, model_class: ModelClass) -> Prospects:
        """What decides when a submission of a class is sent."""
        now_ms, limits = await self._limits()
        by_name = {limit.name: limit.now for limit in limits}
        starts = by_name[f"{model_class}s_per_minute"]
        paused_by, blocked_until = await self._commands("HMGET", keys.ACCOUNT, "paused_by", "blocked_until")
        return Prospects(
            capacity=Capacity(by_name["concurrency"], {} if starts is None else {model_class: starts}),
            paused=paused_by is not None,
            blocked_ms=max(0, int(float(blocked_until or 0)) - now_ms),
        )

    async def state(self) -> AccountState:
        """Where the account and the queue stand, by the limits that workers go by."""
        account = pairs(await self._commands("HGETALL", keys.ACCOUNT))
        stored = {name.decode(): value.decode() for name, value in account.items()}
        now_ms, limits = await self._limits(from_json(stored["limits"]) if "limits" in stored else None)
        waiting, oldest = await asyncio.gather(
            self._commands("ZCARD", keys.due("submit")),
            self._commands("ZRANGE", keys.due("submit"), 0, 0, "WITHSCORES"),
        )
        paused_by = stored.get("paused_by", "")
        blocked_until = int(float(stored.get("blocked_until", 0)))
        return AccountState(
            limits=limits,
            waiting=waiting,
            oldest_waiting_ms=max(0, now_ms - int(float(oldest[1]))) if oldest else 0,
            waiting_by_tenant=await self._by_tenant(),
            paused_by="operator" if paused_by == "operator" else "account" if paused_by else "",
            paused_at_ms=int(stored.get("paused_at", 0)),
            paused_why=stored.get("paused_why", ""),
            paused_price_micros=int(stored.get("paused_price", 0)),
            blocked_until_ms=blocked_until if blocked_until > now_ms else 0,
            balance_micros=int(stored["balance"]) if "balance" in stored else None,
            balance_at_ms=int(stored.get("balance_at", 0)),
            balance_low="low" in stored,
        )

    async def tell_limits(self) -> None:
        """Tell whoever looks at the account by which limits this process goes."""
        await self._commands("HSET", keys.ACCOUNT, "limits", json_bytes(self._configured()))

    def _configured(self) -> list[int | None]:
        """The limits of this process: concurrency, and submissions a minute by class."""
        return [self.capacity.concurrency, *(self.capacity.per_minute.get(one) for one in CLASSES)]

    async def _limits(self, told: list[int | None] | None = None) -> tuple[int, tuple[LimitInForce, ...]]:
        """Now in ms, and every limit in force, as `told` or as this process has them."""
        names = ["concurrency", *(f"{one}s_per_minute" for one in CLASSES)]
        configured = told or self._configured()
        now_ms, *used = await self._scripts.run(
            "account_limits",
            keys=[keys.ACCOUNT, keys.OPEN, *(keys.starts(one) for one in CLASSES)],
            args=[self._now(), *map(optional, configured)],
        )
        return now_ms, tuple(
            LimitInForce(name, limit, None if in_force < 0 else in_force, count)
            for name, limit, (in_force, count) in zip(names, configured, used, strict=True)
        )

    async def _by_tenant(self) -> dict[str, int]:
        """How many submissions of each tenant wait, of the next tenants in turn."""
        found: dict[str, int] = {}
        for one in CLASSES:
            tenants = await self._commands("ZRANGE", keys.waiting(one), 0, _COUNTED - 1)
            counts = await asyncio.gather(
                *(self._commands("ZCARD", keys.waiting(one, tenant.decode())) for tenant in tenants)
            )
            for tenant, count in zip(tenants, counts, strict=True):
                found[tenant.decode()] = found.get(tenant.decode(), 0) + count
        return found
