"""Keeps arq running: its main loop dies on a Redis error, so it is built again, with back-off, until told to stop."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from arq import Worker

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before arq is built again after one more failure in a row; the last one repeats."""

CANCEL_AGAIN_S: Final = 0.5
"""How long a canceled task may take to end before it is canceled again."""

STEADY_S: Final = 30.0
"""An arq that ran this long counts as healthy: the back-off starts over."""

log = structlog.get_logger()


async def supervise(build: Callable[[], Worker], stop: asyncio.Event) -> None:
    """Run what `build` makes until `stop` is set. Jobs under way then are canceled: all of them can be repeated."""
    loop = asyncio.get_running_loop()
    failures = 0
    while not stop.is_set():
        started = loop.time()
        worker = build()
        error = await _run_until(worker, stop)
        if stop.is_set():
            return
        failures = 1 if loop.time() - started > STEADY_S else failures + 1
        delay_s = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1]
        log.warning("arq stopped; starting it again", queue=worker.queue_name, reason=str(error), delay_s=delay_s)
        try:
            await asyncio.wait_for(stop.wait(), delay_s)
        except TimeoutError:
            continue


async def _run_until(worker: Worker, stop: asyncio.Event) -> BaseException | None:
    """Run one arq worker until it fails or `stop` is set; return what it failed with."""
    running = asyncio.create_task(worker.async_run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    await _cancel({running, stopping})
    await _cancel(set(worker.tasks.values()))
    if worker._pool is not None:
        await worker.pool.aclose(close_connection_pool=True)
    return None if running.cancelled() else running.exception()


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: what they wait in may swallow a cancellation that comes at a bad moment."""
    while tasks:
        for task in tasks:
            task.cancel()
        ended, tasks = await asyncio.wait(tasks, timeout=CANCEL_AGAIN_S)
        for task in ended:
            task.cancelled() or task.exception()  # seen: nobody else asks
