"""The newcomer's command: `make run` shows the main job, ends cleanly, works again, and says when a port is busy."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from service.embedded_redis import embedded_server
from tests.journeys.system import SECRET_KEY, System, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)  # they wait for one another
ROOT: Final = Path(__file__).parents[2]


@contextmanager
def make_run(output: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `make run` in a process group of its own, as a terminal would."""
    with (Path(tempfile.gettempdir()) / "breakwater-make-run.lock").open("w") as lock, output.open("wb") as stream:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time: its simulator and receiver have ports of their own
        process = subprocess.Popen(
            ["make", "--silent", "run"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def refuses(port: int) -> bool:
    """Whether nothing listens on a port any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_make_run_shows_the_main_job_twice_and_ends_cleanly(tmp_path: Path) -> None:
    """Submission, poll, verified callback, key, curl line, addresses; Ctrl-C leaves nothing behind; then again.

    On a Redis that is kept: the second run meets what the first one left there.
    """
    port, metrics_port = free_port(), free_port()
    with embedded_server(None, tmp_path / "redis") as redis_url:
        kept = {"BREAKWATER_REDIS_URL": redis_url, "BREAKWATER_ENCRYPTION_KEY": "a" * 43 + "="}
        for name in ("first", "second"):
            shown = await _run_until_shown(tmp_path / name, port, metrics_port, **kept)
            assert "status completed" in shown
            assert "prediction.completed received, signature verified" in shown
            assert "BREAKWATER_KEY=bw_" in shown
            assert f"curl -s http://127.0.0.1:{port}/api/v3/openai/sora-2" in shown
            assert f"http://127.0.0.1:{port}/docs" in shown
            assert f"http://127.0.0.1:{metrics_port}/metrics" in shown
            assert "Everything has ended." in shown
            assert "Traceback" not in shown
            assert refuses(port)
            assert refuses(metrics_port)


async def _run_until_shown(output: Path, port: int, metrics_port: int, **environment: str) -> str:
    """Run until the main job was shown, press Ctrl-C, and return everything that was printed."""
    ports = {"BREAKWATER_PORT": str(port), "BREAKWATER_WORKER_METRICS_PORT": str(metrics_port)}
    with make_run(output, **ports, **environment) as process:
        await wait_until(lambda: "until Ctrl-C" in output.read_text(), timeout_s=45, what="the main job is shown")
        os.killpg(process.pid, signal.SIGINT)
        await asyncio.to_thread(process.wait, 40)
        return await asyncio.to_thread(output.read_text)


async def test_a_busy_port_gets_one_clear_line(tmp_path: Path) -> None:
    """Nothing is started, and the line says which port, and what to do."""
    output = tmp_path / "output"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with make_run(output, BREAKWATER_PORT=str(port), BREAKWATER_WORKER_METRICS_PORT=str(free_port())) as process:
            assert await asyncio.to_thread(process.wait, 30) != 0
    lines = [line for line in output.read_text().splitlines() if "make" not in line.split(":")[0]]
    assert len(lines) == 1
    assert f"port {port} is busy" in lines[0]
    assert "BREAKWATER_PORT=" in lines[0]


async def test_a_real_key_buys_nothing_unasked(tmp_path: Path) -> None:
    """With a real key the curl line and its price are printed, and no submission is made."""
    output = tmp_path / "output"
    # Nothing listens at this upstream: a submission could only fail, and none is tried.
    environment = {
        "WAVESPEED_API_KEY": "not-a-real-key",
        "BREAKWATER_UPSTREAM_URL": f"http://127.0.0.1:{free_port()}",
        "BREAKWATER_PORT": str(free_port()),
        "BREAKWATER_WORKER_METRICS_PORT": str(free_port()),
    }
    with make_run(output, **environment) as process:
        await wait_until(lambda: "until Ctrl-C" in output.read_text(), timeout_s=45, what="the system is up")
        os.killpg(process.pid, signal.SIGTERM)
        await asyncio.to_thread(process.wait, 40)
    shown = output.read_text()
    assert "Nothing was bought" in shown
    assert "$0.40" in shown
    assert "DEMO=pay" in shown
    assert "POST /api/v3" not in shown
    assert "not-a-real-key" not in shown


async def test_a_real_key_pays_when_told_to(tmp_path: Path) -> None:
    """`DEMO=pay` submits once, at the upstream the key is for, and shows the video and its callback."""
    output = tmp_path / "output"
    (tmp_path / "upstream").mkdir()
    async with System(tmp_path / "upstream", "redis://127.0.0.1:1") as elsewhere:
        await elsewhere.start_simulator()
        environment = {
            "DEMO": "pay",
            "WAVESPEED_API_KEY": SECRET_KEY,
            "BREAKWATER_UPSTREAM_URL": elsewhere.simulator_url,
            "BREAKWATER_POLL_SCALE": "0.01",
            "BREAKWATER_PORT": str(free_port()),
            "BREAKWATER_WORKER_METRICS_PORT": str(free_port()),
        }
        with make_run(output, **environment) as process:
            await wait_until(lambda: "until Ctrl-C" in output.read_text(), timeout_s=45, what="the main job is shown")
            os.killpg(process.pid, signal.SIGINT)
            await asyncio.to_thread(process.wait, 40)
        seen = await elsewhere.seen_upstream()
    shown = output.read_text()
    assert "(embedded, nothing is kept)" in shown
    assert "prediction.completed received, signature verified" in shown
    assert seen["paid_submissions"] == 1
    assert SECRET_KEY not in shown
