"""Cron: wake whoever should have been woken. Everything owed stands in the due sets, so this finds all lost work."""

import structlog

from service.domain.errors import StoreUnavailable
from service.metrics import Metrics
from service.stores.work_schedule import DUE_SETS, WorkSchedule
from service.usecases.find_stuck import FindStuck

log = structlog.get_logger()


async def sweep(schedule: WorkSchedule, find_stuck: FindStuck, metrics: Metrics) -> None:
    """Measure every due set, wake the workers for those with something due, and see to what is stuck."""
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
        await find_stuck.mend()
    except StoreUnavailable as away:
        log.warning("sweep put off", reason=str(away))
