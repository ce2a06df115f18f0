"""The account's tasks of a span of time, read in slices that searches made at about the same time share."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from service.upstream.client import LIST_PAGE, WaveSpeed
from service.upstream.payloads import ListedTask

SLICE_MS: Final = 30_000
"""Length of a slice."""

MAX_PAGES: Final = 50
"""Most pages read of one slice: ten thousand tasks a minute, twice what the largest account may make."""

SHARED_S: Final = 30.0
"""How long a slice that was read is good for other searches."""

SLICES: Final = 64
"""How many slices are remembered; the oldest leave first."""


@dataclass(frozen=True, slots=True)
class _Slice:
    """What was read of one slice, and when; None when there was too much to read."""

    tasks: tuple[ListedTask, ...] | None
    read_at_s: float


@dataclass(slots=True)
class TaskList:
    """Reads one page at a time: many searches at once, after an outage, cost no more than one."""

    upstream: WaveSpeed
    clock: Callable[[], float]
    _slices: OrderedDict[tuple[str, int], _Slice] = field(default_factory=OrderedDict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def between(self, model: str, since_ms: int, until_ms: int) -> list[ListedTask] | None:
        """Every task of a model made in a span of time; None when there are too many. Raises `ReadFailed`."""
        last_ms = min(until_ms, int(self.clock() * 1000))
        found: dict[str, ListedTask] = {}
        for number in range(since_ms // SLICE_MS, last_ms // SLICE_MS + 1):
            tasks = await self._slice(model, number)
            if tasks is None:
                return None
            found |= {task.upstream_id: task for task in tasks if since_ms <= task.created_at_ms <= until_ms}
        return list(found.values())

    async def _slice(self, model: str, number: int) -> tuple[ListedTask, ...] | None:
        """One slice, read now if nobody did a moment ago."""
        async with self._reading:
            known = self._slices.get((model, number))
            if known is None or self.clock() - known.read_at_s > SHARED_S or self._still_grows(number, known):
                known = self._slices[model, number] = _Slice(await self._read(model, number), self.clock())
                self._slices.move_to_end((model, number))
                while len(self._slices) > SLICES:
                    self._slices.popitem(last=False)
            return known.tasks

    def _still_grows(self, number: int, known: _Slice) -> bool:
        """Whether a slice was read before its time was over, by a clock that may be ahead of the upstream's."""
        return known.read_at_s * 1000 < (number + 2) * SLICE_MS

    async def _read(self, model: str, number: int) -> tuple[ListedTask, ...] | None:
        """Read a slice page by page."""
        tasks: list[ListedTask] = []
        for page in range(1, MAX_PAGES + 1):
            found = await self.upstream.list_tasks(model, number * SLICE_MS, (number + 1) * SLICE_MS - 1, page)
            tasks += found
            if len(found) < LIST_PAGE:
                return tuple(tasks)
        return None
