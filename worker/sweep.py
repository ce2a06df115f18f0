"""Cron: wake whoever should have been woken. Everything owed stands in the due sets, so this finds all lost work."""

import structlog

from service.domain.errors import StoreUnavailable
from service.metrics import Metrics
from service.stores.work_schedule import DUE_SETS, WorkSchedule

log = structlog.get_logger()


async def sweep(schedule: WorkSchedule, metrics: Metrics) -> None:
    """Measure every due set, and wake the workers for those with something due."""
    for due_set in DUE_SETS:
        try:
            owed = await schedule.owed(due_set)
        except StoreUnavailable as away:
            log.warning("sweep put off", reason=str(away))
            return
        metrics.due_items.labels(due_set).set(owed.items)
        metrics.oldest_due_age.labels(due_set).set(owed.oldest_due_age_s)
        if owed.oldest_due_age_s > 0:
            schedule.wake(due_set, 0.0)
