"""Crons: the ledger against the predictions, and the gauges that take a look at every tenant."""

from collections.abc import Awaitable, Callable

import structlog

from service.domain.errors import StoreUnavailable
from service.usecases.reconcile import Reconcile

log = structlog.get_logger()


async def reconcile(use: Reconcile) -> None:
    """Check and mend every tenant's books; an outage puts it off to the next time."""
    try:
        mended = await use()
    except StoreUnavailable as away:
        log.warning("reconciliation put off", reason=str(away))
        return
    log.info("books reconciled", mended=mended)


async def measure(use: Callable[[], Awaitable[None]]) -> None:
    """Refresh the gauges of this worker; an outage leaves them as they are."""
    try:
        await use()
    except StoreUnavailable as away:
        log.warning("gauges not measured", reason=str(away))
