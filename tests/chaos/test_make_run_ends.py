"""However `make run` ends, it ends alone: nothing it started goes on."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.journeys.system import free_port
from tests.journeys.test_make_run import make_run, refuses
from tests.waiting import wait_until


@pytest.mark.parametrize("end", ["SIGHUP", "SIGKILL", "SIGINT twice"])
async def test_however_it_ends_nothing_is_left_behind(tmp_path: Path, end: str) -> None:
    """A closed terminal, a kill, an impatient second Ctrl-C: no process goes on without it."""
    port, metrics_port = free_port(), free_port()
    output = tmp_path / "output"
    ports = {"BREAKWATER_PORT": str(port), "BREAKWATER_WORKER_METRICS_PORT": str(metrics_port)}
    with make_run(output, **ports) as process:
        await wait_until(lambda: "-> submit" in output.read_text(), timeout_s=45, what="everything is up")
        if end == "SIGINT twice":
            os.killpg(process.pid, signal.SIGINT)
            await wait_until(lambda: refuses(port) or process.poll() is not None, timeout_s=40, what="it begins to end")
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        else:
            os.killpg(process.pid, signal.Signals[end])
        await asyncio.to_thread(process.wait, 40)
        await wait_until(lambda: refuses(port) and refuses(metrics_port), timeout_s=40, what="nothing listens")
    assert "Traceback" not in output.read_text()
