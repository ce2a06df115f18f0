"""What tenants used: by day of admission and model, over any days of the last year."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from service.domain.errors import FieldError, InvalidInput
from service.domain.tenants import is_tenant_id
from service.domain.usage import UsageRow
from service.stores.quota_ledger import QuotaLedger
from service.stores.tenant_store import TenantStore

MAX_DAYS: Final = 400
"""Most days one report covers: usage is not kept for longer."""

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class ReportUsage:
    """The use case. Raises `StoreUnavailable` when Redis is away."""

    tenants: TenantStore
    ledger: QuotaLedger
    clock: Callable[[], float]

    async def __call__(self, tenant_id: str = "", since: str = "", until: str = "") -> list[UsageRow]:
        """Rows of one tenant ("" for all) from the day `since` to `until`, both included, in UTC.

        Left out, they are the first of this month and today. Raises `InvalidInput`, or `NotFound` for the tenant.
        """
        today = datetime.fromtimestamp(self.clock(), UTC).date()
        last = _day("until", until) if until else today
        first = _day("since", since) if since else min(last, today).replace(day=1)
        if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
            raise InvalidInput([FieldError("until", f"must be on or after since, and within {MAX_DAYS} days of it")])
        ids = [tenant_id] if tenant_id else [tenant.id for tenant in await self.tenants.list()]
        rows = [
            row
            for each in ids
            if is_tenant_id(each)
            for month in _months(first, last)
            for row in await self.ledger.usage(each, month)
        ]
        if tenant_id and not rows:
            await self.tenants.get(tenant_id)  # a deleted tenant's usage can be read, a misspelt one's cannot
        return [row for row in rows if first.isoformat() <= row.day <= last.isoformat()]


def _day(field: str, text: str) -> date:
    """Read a day. Raises `InvalidInput` naming the field."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # no such day in the calendar
    raise InvalidInput([FieldError(field, "must be a day such as 2026-01-31")])


def _months(first: date, last: date) -> list[str]:
    """Every month from that of one day to that of another."""
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in months]
