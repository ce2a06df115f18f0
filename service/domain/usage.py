"""What a tenant used, by day of admission and model; also as a table for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from service.domain.money import dollars

COUNTS: Final = ("admitted", "refused", "completed", "failed", "canceled", "expired")
"""What is counted; `refused` are submissions the upstream refused, which are not among the admitted."""

MONEY: Final = ("held", "settled", "released")
"""What became of the money, in micro-dollars."""

COLUMNS: Final = ("tenant", "day", "model", *COUNTS, *(f"{name}_usd" for name in MONEY))
"""The columns of the table; money in dollars."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one tenant did with one model on one UTC day of admission."""

    tenant: str
    day: str
    model: str
    numbers: Mapping[str, int]

    def __getitem__(self, column: str) -> int:
        """One of `COUNTS` or `MONEY`."""
        return self.numbers.get(column, 0)

    def shown(self) -> dict[str, str | int]:
        """The values by the names of `COLUMNS`: counts as numbers, money as dollars in text."""
        counts = {name: self[name] for name in COUNTS}
        money = {f"{name}_usd": dollars(self[name]) for name in MONEY}
        return {"tenant": self.tenant, "day": self.day, "model": self.model, **counts, **money}

    def cells(self) -> list[str]:
        """The values in the order of `COLUMNS`."""
        return [str(value) for value in self.shown().values()]


def usage_csv(rows: Iterable[UsageRow]) -> str:
    """The rows as CSV with one header line (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    return text.getvalue()
