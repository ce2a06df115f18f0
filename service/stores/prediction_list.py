"""A tenant's predictions, newest first: by page for WaveSpeed's face, by cursor for ours.

Unfiltered, a page costs what it shows. A filter makes candidates be looked at one after the other, a bounded number of
them: no index is kept for what is asked rarely. Raises `StoreUnavailable` when Redis is away.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pydantic_core import from_json

from service.domain.predictions import Prediction, State
from service.stores import keys
from service.stores.commands import Commands
from service.stores.prediction_store import PredictionStore

MAX_LOOKED_AT: Final = 2_000
"""Most candidates one request looks at."""

_CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is to show: admitted from `since_ms` to `until_ms`, in these states (none: in any), ..."""

    since_ms: int = 0
    until_ms: int | None = None
    states: frozenset[State] = frozenset()
    model: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def filters(self) -> bool:
        """Whether more than a span of time is asked for."""
        return bool(self.states or self.model or self.metadata)


class Place(NamedTuple):
    """A prediction's place in the list: when it was admitted, in ms, and its id."""

    admitted_ms: int
    id: str


class Page(NamedTuple):
    """Predictions, newest first; the place to go on after, None at the end of the list.

    `complete` unless so many candidates did not fit that the rest was not looked at.
    """

    predictions: list[Prediction]
    last: Place | None
    complete: bool = True


class PredictionList:
    """Reads the list."""

    def __init__(self, commands: Commands, predictions: PredictionStore) -> None:
        self._commands = commands
        self._predictions = predictions

    async def count(self, tenant_id: str, wanted: Wanted) -> int:
        """How many there are in the span of time, whatever else is wanted."""
        return int(await self._commands("ZCOUNT", keys.tenant_predictions(tenant_id), *_span(wanted)))

    async def page(
        self, tenant_id: str, wanted: Wanted, limit: int, *, after: Place | None = None, skip: int = 0
    ) -> Page:
        """Up to `limit` of those wanted: older than `after`, and without the first `skip`."""
        offset = 0
        if not wanted.filters:  # whatever is skipped fits
            offset, skip = skip, 0
        found: list[str] = []
        looked_at = 0
        place = after
        while True:
            step = _CHUNK if wanted.filters else limit + 1
            candidates = await self._candidates(tenant_id, wanted, place, offset, step)
            offset = 0
            fits = await self._fitting(candidates, wanted)
            for candidate, fit in zip(candidates, fits, strict=True):
                if fit and skip:
                    skip -= 1
                elif fit and len(found) == limit:
                    return Page(await self._loaded(found), place)
                elif fit:
                    found.append(candidate.id)
                place = candidate
            looked_at += len(candidates)
            if len(candidates) < step:
                return Page(await self._loaded(found), None)
            if looked_at >= MAX_LOOKED_AT and wanted.filters:
                return Page(await self._loaded(found), place, complete=False)

    async def _candidates(
        self, tenant_id: str, wanted: Wanted, after: Place | None, offset: int, limit: int
    ) -> list[Place]:
        """Places in the span of time, older than `after`, newest first."""
        low, high = _span(wanted)
        if after is None:
            return await self._range(tenant_id, low, high, offset, limit)
        # What was admitted in the same millisecond is in the order of ids: all of it is read, and cut off by hand.
        same = await self._range(tenant_id, after.admitted_ms, after.admitted_ms, 0, -1)
        older = [place for place in same if place.id < after.id and place.admitted_ms >= int(low)]
        missing = limit - len(older)
        if missing > 0:
            older += await self._range(tenant_id, low, f"({after.admitted_ms}", 0, missing)
        return older[:limit]

    async def _range(self, tenant_id: str, low: int | str, high: int | str, offset: int, limit: int) -> list[Place]:
        """Places between two times, newest first."""
        raw = await self._commands(
            "ZRANGE", keys.tenant_predictions(tenant_id), high, low, "BYSCORE", "REV", "LIMIT", offset, limit,
            "WITHSCORES",
        )  # fmt: skip
        return [Place(int(float(score)), one.decode()) for one, score in zip(raw[::2], raw[1::2], strict=True)]

    async def _fitting(self, candidates: Sequence[Place], wanted: Wanted) -> list[bool]:
        """Whether each candidate is wanted."""
        if not wanted.filters:
            return [True] * len(candidates)
        return await asyncio.gather(*(self._fits(candidate.id, wanted) for candidate in candidates))

    async def _fits(self, prediction_id: str, wanted: Wanted) -> bool:
        """Whether one is wanted, by the few fields that decide."""
        state, model, metadata = await self._commands(
            "HMGET", keys.prediction(prediction_id), "state", "model", "metadata"
        )
        if state is None:
            return False
        noted = from_json(metadata) if metadata and wanted.metadata else {}
        return (
            (not wanted.states or State(state.decode()) in wanted.states)
            and (not wanted.model or model.decode() == wanted.model)
            and all(noted.get(name) == value for name, value in wanted.metadata.items())
        )

    async def _loaded(self, ids: Sequence[str]) -> list[Prediction]:
        """The predictions; one that was purged or deleted a moment ago is left out."""
        loaded = await asyncio.gather(*(self._predictions.load(one) for one in ids))
        return [prediction for prediction in loaded if prediction is not None and not prediction.deleted_at_ms]


def _span(wanted: Wanted) -> tuple[str, str]:
    """The span of time as scores."""
    return str(wanted.since_ms), "+inf" if wanted.until_ms is None else str(wanted.until_ms)
