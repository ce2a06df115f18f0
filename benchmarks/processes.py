"""Processes of a benchmark: what is measured runs alone on one core, everything else on the other."""

import os
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import redis
from pydantic_core import from_json, to_json

from benchmarks.measured import FIXED_RATE, Figure, Round
from service.cli.local_system import port_is_free
from service.embedded_redis import embedded_server

MEASURED_CORE: Final = {0}
OTHER_CORES: Final = set(range(1, os.cpu_count() or 1)) or {0}
SETTINGS: Final = {
    "BREAKWATER_ENCRYPTION_KEY": urlsafe_b64encode(b"b" * 32).decode(),
    "WAVESPEED_API_KEY": "not-a-real-key",
    "BREAKWATER_CALLBACK_ALLOW": "127.0.0.1/32",
    "BREAKWATER_UPSTREAM_READS_PER_S": "100000",  # the stub is ours
    "BREAKWATER_SHUTDOWN_GRACE_S": "0",  # nobody is served any more when a suite ends
    "BREAKWATER_DRAIN_S": "1",
}


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """CPU time a process and its children have used so far, to the nanosecond.

    What /proc tells goes in steps of 10 ms; this is the clock of clock_getcpuclockid(3).
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in _tree(process.pid))


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    """Memory a process and its children hold (proc(5): the second field of statm, in pages)."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _tree(process.pid))
    return pages * os.sysconf("SC_PAGE_SIZE")


def _tree(root: int) -> list[int]:
    """A process and all that came of it (proc(5): the second field of stat after the name is the parent)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def rate(done: int, used_s: float) -> float:
    """Done per second of the contestant's own CPU time: its rate on one core, whatever else the machine does."""
    return done / used_s if used_s else 0.0


class Bench:
    """Starts processes and ends them by pid when the block ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()
        self._next_port = 21_000

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, last started first: before the Redis they use ends."""
        self._stack.close()

    def port(self) -> int:
        """A port nobody listens on."""
        while not port_is_free(self._next_port):
            self._next_port += 1
        self._next_port += 1
        return self._next_port - 1

    def at_end(self, tidy: Callable[[], object]) -> None:
        """Have something done once the processes started after this have ended."""
        self._stack.callback(tidy)

    def start(
        self,
        module: str,
        *arguments: str,
        measured: bool,
        settings: Mapping[str, str] | None = None,
        fed: bool = False,
        directory: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `python -m module` on the core it belongs to; what it logs goes to a file.

        `fed` gives it an input; with a `directory` it is that checkout's module.
        """
        return self.run(
            [sys.executable, "-m", module, *arguments],
            cores=MEASURED_CORE if measured else OTHER_CORES,
            settings=settings,
            fed=fed,
            directory=directory,
        )

    def run(
        self,
        command: Sequence[str],
        *,
        cores: set[int] = MEASURED_CORE,
        settings: Mapping[str, str] | None = None,
        fed: bool = False,
        directory: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start any program on these cores, and so all that it starts."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAKWATER_", "WAVESPEED_"))}
        log = self._stack.enter_context((self.directory / f"{time.monotonic_ns()}.log").open("wb"))
        log.write(f"{' '.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command,
            env={**clean, **SETTINGS, **(settings or {})},
            cwd=directory,
            stdin=subprocess.PIPE if fed else None,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        self._stack.callback(_end, process)
        return process

    def redis(self) -> str:
        """Another Redis, for contestants that must not share one."""
        directory = self.directory / f"redis-{time.monotonic_ns()}"
        return self._stack.enter_context(embedded_server(None, directory))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End one process, and wait until it is gone; one that stands still would not hear of it."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


ALL_CORES: Final = MEASURED_CORE | OTHER_CORES

OPEN_SHARE: Final = 2 / 3
"""How long a round is at the fixed rate, for each second at full load."""


def closed_loop(
    process: subprocess.Popen[bytes],
    port: int,
    requests: Sequence[bytes],
    seconds: float,
    connections: int = 64,
    redis_url: str = "",
) -> Figure:
    """Put one contestant under as much load as it takes, from the other core; a Redis given counts as part of it."""
    redis_before = redis_cpu_s(redis_url) if redis_url else 0.0
    before, started = cpu_s(process), time.monotonic()
    answered, failed = _load("benchmarks.load", requests, str(port), str(connections), str(seconds))
    used_s, took_s = cpu_s(process) - before, time.monotonic() - started
    if failed:
        raise SystemExit(f"{failed} of {answered} requests failed: the figure would mean nothing")
    also = {}
    if redis_url:
        redis_s = redis_cpu_s(redis_url) - redis_before
        used_s += redis_s
        also = {"Redis µs each": redis_s / answered * 1e6}
    return Figure(rate(answered, used_s), also={**also, "/s of wall": answered / took_s})


def open_loop(port: int, requests: Sequence[bytes], a_second: float, seconds: float) -> tuple[float, ...]:
    """Send at a fixed rate whatever comes back; how late each answer was, in ms since it should have been asked for."""
    return tuple(_load("benchmarks.open_loop", requests, str(port), str(a_second), str(seconds)))


def _load(module: str, requests: Sequence[bytes], *arguments: str) -> list[Any]:
    """Have a process of its own send these requests in turn; what it says."""
    output = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=to_json([one.decode() for one in requests]),
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES),
    ).stdout
    said: list[Any] = from_json(output)
    return said


def drive(
    process: subprocess.Popen[bytes],
    port: int,
    *requests: bytes,
    at_rate: float = FIXED_RATE,
    connections: int = 64,
) -> Round:
    """A round: as many requests as it takes for the rate, then a fixed rate for the latencies."""

    def run(seconds: float) -> Figure:
        full = closed_loop(process, port, requests, seconds, connections)
        latencies_ms = open_loop(port, requests, at_rate, seconds * OPEN_SHARE)
        return Figure(full.figure, latencies_ms, resident_bytes(process) / 1e6)

    return run


def redis_cpu_s(url: str) -> float:
    """CPU time a Redis has used so far."""
    with redis.Redis.from_url(url) as client:
        told: dict[str, Any] = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def metric(port: int, series: str) -> float:
    """The sum of all samples of a process whose line begins with this."""
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series))
