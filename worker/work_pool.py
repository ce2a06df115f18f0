"""A bounded pool that leases what is due and works on it, many items at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from service.domain.errors import StoreUnavailable
from service.metrics import Metrics
from service.stores.keys import DueSet
from service.stores.work_schedule import Leased, WorkSchedule

LEASE_AT_ONCE: Final = 128
"""Most items leased in one go: more would wait for a place while their lease runs."""

log = structlog.get_logger()

Handle = Callable[..., Awaitable[object]]
"""Works on one item, given what `Leased.handed_out` says of it; raising leaves the item to fall due again. True says
that its end has made more of the due set workable right now."""


class WorkPool:
    """Works on one due set, of which `lease` leases up to so many items.

    A wake-up or a freed place leases as many as there are free places, never more.
    """

    def __init__(
        self,
        due_set: DueSet,
        capacity: int,
        lease: Callable[[int], Awaitable[Leased]],
        schedule: WorkSchedule,
        handle: Handle,
        metrics: Metrics,
    ) -> None:
        self._due_set: DueSet = due_set
        self._capacity = capacity
        self._lease = lease
        self._schedule = schedule
        self._handle = handle
        self._metrics = metrics
        self._busy: set[asyncio.Task[None]] = set()
        self._filling = asyncio.Lock()
        self._refill: asyncio.Task[None] | None = None
        self._more_due = False
        self._stopped = False
        metrics.in_flight.labels(due_set).set_function(lambda: len(self._busy))

    async def fill(self) -> None:
        """Lease and start what is due, until nothing more is, or no place is free. Raises `StoreUnavailable`."""
        async with self._filling:  # two at once would lease for the same places
            await self._fill()

    async def _fill(self) -> None:
        while not self._stopped:
            wanted = min(self._capacity - len(self._busy), LEASE_AT_ONCE)
            self._more_due = wanted <= 0
            if self._more_due:
                return
            leased = await self._lease(wanted)
            for item in leased.handed_out():
                task = asyncio.create_task(self._work(*item))
                self._busy.add(task)
                task.add_done_callback(self._freed)
            if len(leased.ids) < wanted:
                if leased.next_due_s is not None:
                    self._schedule.wake(self._due_set, leased.next_due_s)
                return

    async def _work(self, item_id: str, *how: object) -> None:
        """Work on one item, every step bounded in time; what fails falls due again when its lease ends."""
        try:
            if await self._handle(item_id, *how) is True:
                self._more_due = True
        except StoreUnavailable as error:
            self._metrics.work_failed.labels(self._due_set).inc()
            log.warning("work put off", due_set=self._due_set, item=item_id, reason=str(error))
        except Exception as error:  # a bug in one item must not end the pool: the item is seen again, and counted
            self._metrics.work_failed.labels(self._due_set).inc()
            log.error("work failed", due_set=self._due_set, item=item_id, exc_info=error)

    def _freed(self, task: asyncio.Task[None]) -> None:
        """A place is free: lease again if more was due, once an eighth of the places is free or nothing else runs."""
        self._busy.discard(task)
        self._refill_if_worthwhile()

    def _refill_if_worthwhile(self) -> None:
        if not self._more_due or self._stopped or self._refill is not None:
            return
        if self._capacity - len(self._busy) < max(1, self._capacity // 8):
            self._schedule.wake(self._due_set, 0.0)  # should the others take long, the few places are used all the same
            return
        self._refill = asyncio.create_task(self.fill())
        self._refill.add_done_callback(self._refilled)

    def _refilled(self, task: asyncio.Task[None]) -> None:
        """A refill that failed is made up for by the next wake-up or sweep."""
        self._refill = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("lease failed", due_set=self._due_set, reason=str(error))
        else:
            self._refill_if_worthwhile()  # a place may have come free meanwhile

    async def drain(self, within_s: float) -> int:
        """Lease nothing more, wait for what is in work at most `within_s`, cancel the rest; return how many that were.

        What is canceled falls due again when its lease ends.
        """
        self._stopped = True
        async with self._filling:  # what a lease under way brings is worked on
            pending = set(self._busy)
        if pending:
            _, pending = await asyncio.wait(pending, timeout=within_s)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return len(pending)
