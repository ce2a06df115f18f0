"""Usage: the same numbers for programs, spreadsheets and people."""

import csv
import io

from service.domain.usage import COLUMNS, UsageRow, usage_csv

ROW = UsageRow(
    "acme", "2026-11-23", "openai/sora-2", {"admitted": 3, "held": 1, "settled": 800_000, "refused_micros": 5}
)


def test_a_row_has_every_column() -> None:
    """Counts as numbers, money as dollars in text, and nothing that is not a column."""
    assert ROW.shown() == {
        "tenant": "acme",
        "day": "2026-11-23",
        "model": "openai/sora-2",
        "admitted": 3,
        "refused": 0,
        "completed": 0,
        "failed": 0,
        "canceled": 0,
        "expired": 0,
        "held_usd": "0.000001",
        "settled_usd": "0.80",
        "released_usd": "0.00",
    }
    assert tuple(ROW.shown()) == COLUMNS


def test_csv_is_read_back_as_written() -> None:
    """One header line, one line a row."""
    [read] = csv.DictReader(io.StringIO(usage_csv([ROW])))
    assert list(read.values()) == ROW.cells()
    assert usage_csv([]).splitlines() == [",".join(COLUMNS)]
