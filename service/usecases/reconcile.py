"""Check every tenant's books against its predictions, mend what drifted, and measure how far limits are used."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from service.domain.limits import DAY_S, Ledger, LimitState, window_of
from service.domain.money import MICROS_PER_DOLLAR
from service.domain.predictions import RETENTION_MS
from service.domain.tenants import Tenant
from service.metrics import Metrics
from service.stores.books import Books, Month, wrong_fields
from service.stores.quota_ledger import QuotaLedger
from service.stores.tenant_store import TenantStore

_TRIES: Final = 3
"""How often a day is read again to which something was booked meanwhile; after that the next run has its chance."""

_MISSING_SLOT_MS: Final = 3_600_000
"""When to look at a slot that had to be given anew."""

MEASURED_TOGETHER: Final = 100
"""How many tenants' standings are read at once: few batches for Redis, and no crowd before anybody else's commands."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The use case. Drift is never expected: every entry that had to be mended is counted and logged."""

    tenants: TenantStore
    ledger: QuotaLedger
    books: Books
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self) -> int:
        """Reconcile every tenant; return how many entries were mended. Raises `StoreUnavailable`."""
        return sum([await self._tenant(tenant.id) for tenant in await self.tenants.list()])

    async def measure(self) -> None:
        """Set the gauges of limits and money from where they stand. Raises `StoreUnavailable`."""
        now_ms = int(self.clock() * 1000)
        tenants = await self.tenants.list()
        measured: list[tuple[Tenant, tuple[LimitState, ...], Ledger]] = []
        for first in range(0, len(tenants), MEASURED_TOGETHER):
            some = tenants[first : first + MEASURED_TOGETHER]
            measured += await asyncio.gather(*(self._measured(tenant, now_ms) for tenant in some))
        self.metrics.quota_used.clear()  # tenants come and go, and so do limits
        self.metrics.budget.clear()
        for tenant, states, money in measured:
            self._set_gauges(tenant, states, money)

    async def _measured(self, tenant: Tenant, now_ms: int) -> tuple[Tenant, tuple[LimitState, ...], Ledger]:
        """Where one tenant's limits and money stand."""
        states, money = await asyncio.gather(
            self.ledger.standing(tenant.id, tenant.limits, now_ms),
            self.ledger.ledger(tenant.id, window_of(now_ms).month),
        )
        return tenant, states, money

    def _set_gauges(self, tenant: Tenant, states: tuple[LimitState, ...], money: Ledger) -> None:
        """Set the gauges of one tenant."""
        for state in states:
            self.metrics.quota_used.labels(tenant.id, state.name).set(state.used / state.limit if state.limit else 1.0)
        self.metrics.budget.labels(tenant.id, "held").set(money.held / MICROS_PER_DOLLAR)
        self.metrics.budget.labels(tenant.id, "settled").set(money.settled / MICROS_PER_DOLLAR)
        if tenant.limits.budget_micros is not None:
            self.metrics.budget.labels(tenant.id, "limit").set(tenant.limits.budget_micros / MICROS_PER_DOLLAR)

    async def _tenant(self, tenant_id: str) -> int:
        """Reconcile one tenant: usage with predictions, ledger with usage, slots with predictions."""
        mended = 0
        for _ in range(_TRIES):
            count, again = await self._usage_and_slots(tenant_id)
            mended += count
            if not again:
                break
        for month in self._months():
            for field, before, after in await self.books.mend_ledger(tenant_id, month):
                self._drifted("ledger", tenant_id, field, before, after)
                mended += 1
        return mended

    def _months(self) -> tuple[str, ...]:
        """The months a prediction that is still known may be booked to."""
        now_ms = int(self.clock() * 1000)
        days = range(0, 32, 31)
        return tuple(dict.fromkeys(window_of(now_ms - back * DAY_S * 1000).month for back in days))

    async def _usage_and_slots(self, tenant_id: str) -> tuple[int, bool]:
        """Compare with every prediction; return how many entries were mended, and whether a day moved meanwhile."""
        months = {month: await self.books.month(tenant_id, month) for month in self._months()}
        slots = await self.books.slots(tenant_id)
        rows: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        running = set()
        async for prediction in self.books.predictions(tenant_id):
            if prediction.day:
                rows[prediction.day][prediction.model].update(prediction.columns())
                if prediction.holds_slot:
                    running.add(prediction.id)
        mended = await self._slots(tenant_id, slots ^ running)
        again = False
        for month in months.values():
            count, moved = await self._month(tenant_id, month, rows)
            mended += count
            again = again or moved
        return mended, again

    async def _slots(self, tenant_id: str, doubtful: set[str]) -> int:
        """Look again, one by one, at the slots that did not fit."""
        deadline_ms = int(self.clock() * 1000) + _MISSING_SLOT_MS
        mended = 0
        for prediction_id in sorted(doubtful):
            if await self.books.mend_slot(tenant_id, prediction_id, deadline_ms):
                self._drifted("slot", tenant_id, prediction_id, 0, 0)
                mended += 1
        return mended

    async def _month(self, tenant_id: str, month: Month, rows: dict[str, dict[str, Counter[str]]]) -> tuple[int, bool]:
        """Mend the days of one month."""
        oldest_whole = window_of(int(self.clock() * 1000) - RETENTION_MS + DAY_S * 1000).day
        days = {name.split("|")[0] for name in month.usage} | {day for day in rows if day.startswith(month.month)}
        mended, again = 0, False
        for day in sorted(days):
            wrong = wrong_fields(month.usage, day, rows.get(day, {}), whole=day >= oldest_whole)
            if not wrong:
                continue
            if not await self.books.mend_day(tenant_id, month, day, wrong):
                again = True
                continue
            for field, value in wrong.items():
                self._drifted("usage", tenant_id, field, month.usage.get(field, 0), value)
            mended += len(wrong)
        return mended, again

    def _drifted(self, kind: str, tenant_id: str, entry: str, before: int, after: int) -> None:
        """Count and log one entry that was mended."""
        self.metrics.ledger_drift.labels(kind).inc()
        log.error("books mended", kind=kind, tenant=tenant_id, entry=entry, before=before, after=after)
