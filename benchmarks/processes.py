"""Processes of a benchmark: what is measured runs alone on one core, everything else on the other."""

import os
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from service.cli.local_system import port_is_free

MEASURED_CORE: Final = {0}
OTHER_CORES: Final = set(range(1, os.cpu_count() or 1)) or {0}
SETTINGS: Final = {
    "BREAKWATER_ENCRYPTION_KEY": urlsafe_b64encode(b"b" * 32).decode(),
    "WAVESPEED_API_KEY": "not-a-real-key",
    "BREAKWATER_CALLBACK_ALLOW": "127.0.0.1/32",
    "BREAKWATER_UPSTREAM_READS_PER_S": "100000",  # the stub is ours
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: what was done, how long it took, and how much CPU the contestant used for it."""

    done: int
    seconds: float
    cpu_s: float

    @property
    def figure(self) -> float:
        """Done per second of the contestant's own CPU time: its rate on one core, whatever else the machine does."""
        return self.done / self.cpu_s if self.cpu_s else 0.0


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """CPU time a process has used so far, user and system together (proc(5): fields 14 and 15 of its stat)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    """Memory a process holds (proc(5): the second field of its statm, in pages)."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Figure(Protocol):
    """What one round comes to."""

    @property
    def figure(self) -> float:
        """The number that counts."""


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
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAKWATER_", "WAVESPEED_"))}
        log = self._stack.enter_context((self.directory / f"{module}-{time.monotonic_ns()}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**clean, **SETTINGS, **(settings or {})},
            cwd=directory,
            stdin=subprocess.PIPE if fed else None,
            stdout=log,
            stderr=log,
        )
        os.sched_setaffinity(process.pid, MEASURED_CORE if measured else OTHER_CORES)
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """End one process, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def drive(
    process: subprocess.Popen[bytes], port: int, request: bytes, seconds: float, connections: int = 64
) -> Measured:
    """Put one contestant under load from the other core for `seconds`."""
    before, started = cpu_s(process), time.monotonic()
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", str(port), str(connections), str(seconds)],
        input=request,
        capture_output=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES),
    ).stdout
    answered, failed = (int(part) for part in output.split())
    if failed:
        raise SystemExit(f"{failed} of {answered} requests failed: the figure would mean nothing")
    return Measured(answered, time.monotonic() - started, cpu_s(process) - before)
