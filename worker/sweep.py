"""Crons: wake whoever should have been woken, measure what is owed, read the account's balance.

Everything owed stands in the due sets, so the sweep finds all lost work.
"""

import structlog

from service.domain.errors import ReadFailed, StoreUnavailable
from service.metrics import Metrics
from service.stores.work_schedule import DUE_SETS, WorkSchedule
from service.usecases.find_stuck import FindStuck
from service.usecases.measure_store import MeasureStore
from service.usecases.watch_account import WatchAccount

log = structlog.get_logger()


async def sweep(
    schedule: WorkSchedule,
    find_stuck: FindStuck,
    watch_account: WatchAccount,
    measure_store: MeasureStore,
    metrics: Metrics,
) -> None:
    """Measure due sets, account and store, wake the workers for what is due, see to what is stuck."""
    try:
        for due_set in DUE_SETS:
            owed = await schedule.owed(due_set)
            metrics.due_items.labels(due_set).set(owed.items)
            metrics.oldest_due_age.labels(due_set).set(owed.oldest_due_age_s)
            if owed.oldest_due_age_s > 0:
                schedule.wake(due_set, 0.0)
        pending, broken = await schedule.lanes_owed()
        metrics.deliveries_pending.set(pending)
        metrics.receivers_broken.set(broken)
        await watch_account.measure()
        await measure_store()
        await find_stuck.mend()
    except StoreUnavailable as away:
        log.warning("sweep put off", reason=str(away))


async def read_balance(watch_account: WatchAccount) -> None:
    """Read the account's balance; a read that fails is made again with the next run."""
    try:
        await watch_account()
    except (ReadFailed, StoreUnavailable) as failed:
        log.warning("balance not read", reason=str(failed))
