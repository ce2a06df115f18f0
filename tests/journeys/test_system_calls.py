"""What a request costs the operating system, counted and not timed: writes are the dearest part of a short answer.

Counted are the writes of the gateway's process (proc(5): `syscw` of its `io`): one for the answer, one for the log's
lines of a turn, one for each batch of commands to Redis, one for the call upstream. Requests are made one after the
other; the median of many is judged, since a gateway writes now and then of its own accord.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

import pytest

from tests.journeys.system import System

TIMES: Final = 15
BUDGETS: Final = {"submit": 6, "read": 3}
"""Submit: two batches to Redis, a wake-up of the worker now and then, the call upstream, two turns with lines of the
log, the answer. Read: one batch, the answer, the line of the log."""


def writes_of(pid: int) -> int:
    """How often a process has written so far."""
    told = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(told["syscw"])


async def median_writes(pid: int, ask: Callable[[], Awaitable[Any]]) -> float:
    """The median of writes per request, after one that opens connections and fills caches."""
    counts = []
    for _ in range(TIMES + 1):
        before = writes_of(pid)
        await ask()
        counts.append(writes_of(pid) - before)
    return median(counts[1:])


@pytest.mark.parametrize("what", BUDGETS)
async def test_writes_of_a_request(tmp_path: Path, redis_url: str, what: str) -> None:
    """A request makes no more writes than its budget: none for a part of an answer, a command or a line alone."""
    async with System(tmp_path, redis_url) as system:
        await system.start_simulator()
        gateway = await system.start_gateway()
        await system.create_tenant()
        prediction = (await system.submit("a wave"))["id"]
        asks: dict[str, Callable[[], Awaitable[Any]]] = {
            "submit": lambda: system.submit("a wave"),
            "read": lambda: system.result(prediction),
        }
        counted = await median_writes(gateway.process.pid, asks[what])
        print(f"{what}: {counted} writes (budget: {BUDGETS[what]})")  # noqa: T201 read by who sets it anew
        assert counted <= BUDGETS[what]
