"""Read the account's balance, measure its limits, and end a pause whose reason is gone."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

import structlog

from service.domain.capacity import AccountState
from service.domain.errors import ReadFailed
from service.domain.money import MICROS_PER_DOLLAR
from service.metrics import Metrics
from service.stores.submission_queue import SubmissionQueue
from service.stores.work_schedule import WorkSchedule
from service.upstream.client import WaveSpeed

TRY_ANYWAY_S: Final = 300.0
"""An account whose balance cannot be read is tried this long after it was refused."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WatchAccount:
    """The use case of the worker's crons. Below `low_micros` the balance counts as low; 0 never does."""

    queue: SubmissionQueue
    upstream: WaveSpeed
    schedule: WorkSchedule
    metrics: Metrics
    clock: Callable[[], float]
    low_micros: int

    async def __call__(self) -> None:
        """Read the balance. An account that was refused and has money is tried again: the next submission will tell.

        So is one whose balance cannot be read, but rarely. Raises `ReadFailed` and `StoreUnavailable`.
        """
        state = await self.queue.state()
        try:
            balance_micros = await self.upstream.balance()
        except ReadFailed:
            if state.paused_by == "account" and self.clock() - state.paused_at_ms / 1000 >= TRY_ANYWAY_S:
                await self._try_again(state, proved_good=False)
            raise
        low = balance_micros < self.low_micros
        await self.queue.note_balance(balance_micros, int(self.clock() * 1000), low=low)
        if low and not state.balance_low:
            log.warning("the account's balance is low", dollars=balance_micros / MICROS_PER_DOLLAR)
        if state.paused_by == "account" and balance_micros >= max(1, state.paused_price_micros):
            await self._try_again(state, proved_good=True)

    async def _try_again(self, state: AccountState, *, proved_good: bool) -> None:
        """End the pause, unless somebody has done something about it meanwhile."""
        if await self.queue.try_again(state.paused_at_ms, proved_good=proved_good):
            self.schedule.wake("submit", 0.0)
            log.info("submissions are tried again", proved_good=proved_good)

    async def measure(self) -> None:
        """Tell by which limits this worker goes, and set the metrics of limits, pause and balance.

        Raises `StoreUnavailable`.
        """
        await self.queue.tell_limits()
        state = await self.queue.state()
        for limit in state.limits:
            self.metrics.upstream_limit.labels(limit.name).set(inf if limit.now is None else limit.now)
            self.metrics.upstream_used.labels(limit.name).set(limit.used)
        for by in ("operator", "account"):
            self.metrics.upstream_paused.labels(by).set(state.paused_by == by)
        if state.balance_micros is not None:
            self.metrics.upstream_balance.set(state.balance_micros / MICROS_PER_DOLLAR)
        self.metrics.upstream_balance_low.set(state.balance_low)
