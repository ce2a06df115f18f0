"""The books checked against the predictions they are about: what should stand in ledger, usage and slots, and mending.

Usage of a day is recomputed from its predictions, a month's ledger from its usage. Nothing stops meanwhile: a day to
which something is booked while its predictions are read is left alone and tried again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from service.domain.predictions import ENDED, State
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.scripts import Scripts

PAGE: Final = 512
"""Predictions read at a time."""

_ENDED: Final = frozenset(state.value for state in ENDED)
_FIELDS: Final = ("day", "model", "booked_as", "state", "money", "price_micros", "closed")
_RECOMPUTED: Final = ("admitted", "completed", "failed", "canceled", "expired", "held", "settled", "released")


@dataclass(frozen=True, slots=True)
class Booked:
    """What one prediction means for the books: `model` as it is booked, `day` "" for one that was never booked."""

    id: str
    day: str
    model: str
    state: str
    money: str
    price_micros: int
    closed: str = ""

    @property
    def holds_slot(self) -> bool:
        """Whether it has not ended."""
        return self.state not in _ENDED

    def columns(self) -> Counter[str]:
        """What it adds to its row of usage."""
        given_back = self.closed == "unsent" and self.state == State.CANCELED
        added = Counter({"admitted": 0 if given_back else 1})
        if self.money:
            added[self.money] += self.price_micros
        if self.state in _ENDED:
            added[self.state] += 1
        return added


@dataclass(frozen=True, slots=True)
class Month:
    """A month's books as read: usage by field (`day|model|column`), and how often each day was booked to."""

    month: str
    usage: Mapping[str, int]
    moves: Mapping[str, int]


class Books:
    """Reads and mends. Raises `StoreUnavailable` when Redis is away; mending can be repeated."""

    def __init__(self, commands: Commands, scripts: Scripts) -> None:
        self._commands = commands
        self._scripts = scripts

    async def month(self, tenant_id: str, month: str) -> Month:
        """Read a month's books."""
        ledger = pairs(await self._commands("HGETALL", keys.ledger(tenant_id, month)))
        usage = pairs(await self._commands("HGETALL", keys.usage(tenant_id, month)))
        return Month(
            month,
            {name.decode(): int(value) for name, value in usage.items()},
            {
                name.decode().removeprefix("moves:"): int(value)
                for name, value in ledger.items()
                if name.startswith(b"moves:")
            },
        )

    async def predictions(self, tenant_id: str) -> AsyncIterator[Booked]:
        """Every prediction of a tenant there is a record of, in pages, oldest first; then those it has deleted.

        One that is deleted meanwhile may be missed or told twice: its day has moved then.
        """
        for key in (keys.tenant_predictions(tenant_id), keys.tenant_deleted(tenant_id)):
            async for prediction in self._indexed(key):
                yield prediction

    async def _indexed(self, key: str) -> AsyncIterator[Booked]:
        """The predictions of one index, oldest first."""
        start = 0
        while ids := await self._commands("ZRANGE", key, start, start + PAGE - 1):
            start += len(ids)
            records = await asyncio.gather(
                *(self._commands("HMGET", keys.prediction(raw.decode()), *_FIELDS) for raw in ids)
            )
            for raw, record in zip(ids, records, strict=True):
                day, model, booked_as, state, money, price, closed = (
                    value.decode() if value else "" for value in record
                )
                if state:
                    yield Booked(raw.decode(), day, booked_as or model, state, money, int(price or 0), closed)

    async def mend_day(self, tenant_id: str, month: Month, day: str, expected: Mapping[str, int]) -> bool:
        """Write what a day's usage must be (field → value); False when something was booked to it meanwhile."""
        changes = [part for name, value in expected.items() for part in (name, value)]
        mended = await self._scripts.run(
            "mend_usage",
            keys=[keys.ledger(tenant_id, month.month), keys.usage(tenant_id, month.month)],
            args=[day, month.moves.get(day, 0), *changes],
        )
        return bool(mended)

    async def mend_ledger(self, tenant_id: str, month: str) -> list[tuple[str, int, int]]:
        """Make a month's ledger the sum of its usage; every entry that was wrong: its name, before and after."""
        wrong = await self._scripts.run(
            "mend_ledger", keys=[keys.ledger(tenant_id, month), keys.usage(tenant_id, month)]
        )
        parts = [part.decode() for part in wrong]
        return [(parts[i], int(parts[i + 1]), int(parts[i + 2])) for i in range(0, len(parts), 3)]

    async def slots(self, tenant_id: str) -> set[str]:
        """The predictions that hold a slot."""
        return {raw.decode() for raw in await self._commands("ZRANGE", keys.tenant_slots(tenant_id), 0, -1)}

    async def mend_slot(self, tenant_id: str, prediction_id: str, deadline_ms: int) -> bool:
        """Give or take one slot as its prediction's record says at this moment; whether that changed anything."""
        mended = await self._scripts.run(
            "mend_slot",
            keys=[keys.tenant_slots(tenant_id), keys.prediction(prediction_id)],
            args=[prediction_id, deadline_ms, keys.UNFINISHED_MS],
        )
        return bool(mended)


def wrong_fields(
    usage: Mapping[str, int], day: str, rows: Mapping[str, Mapping[str, int]], *, whole: bool
) -> dict[str, int]:
    """What must change in a day's usage, as field → value. `rows` are its predictions summed by model and column.

    Only of a recent day are all predictions still there (`whole`); of an older one only what has not ended is known, so
    only `held` can be checked. What the upstream refused left no prediction: its released money stands in a column.
    """
    models = {*rows, *(name.split("|")[1] for name in usage if name.startswith(f"{day}|"))}
    wrong = {}
    for model in models:
        for column in _RECOMPUTED if whole else ("held",):
            field = f"{day}|{model}|{column}"
            expected = rows.get(model, {}).get(column, 0)
            if column == "released":
                expected += usage.get(f"{day}|{model}|refused_micros", 0)
            if usage.get(field, 0) != expected:
                wrong[field] = expected
    return wrong
