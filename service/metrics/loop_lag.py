"""How late a timer fires: what a process that is too busy, or blocked, keeps all its requests waiting for."""

import asyncio
import time
from typing import Final

from service.metrics.catalogue import Metrics

EVERY_S: Final = 0.5
"""How often it is looked at, in seconds; gauges shared with other processes are as old as that at most."""


async def watch_loop(metrics: Metrics) -> None:
    """Measure until canceled."""
    while True:
        due = time.perf_counter() + EVERY_S
        await asyncio.sleep(EVERY_S)
        metrics.event_loop_lag.observe(max(0.0, time.perf_counter() - due))
        metrics.refresh()
