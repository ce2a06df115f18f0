"""The whole system as processes of this machine, started and ended in order: what `breakwater dev` runs."""

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx2

from service.domain.errors import BreakwaterError

START_WITHIN_S: Final = 30.0
"""Longest wait for one process to answer; a cold import on a busy machine takes a few seconds."""

STOP_WITHIN_S: Final = 35.0
"""Longest wait for one process to drain and end before it is killed: more than the drain itself."""


# Kills what we started if we end without having ended it, even by SIGKILL. It reads a line for each process, `+PID`
# when it has begun and `-PID` when it has ended, from a pipe that ends when we do.
_GUARDIAN: Final = """
trap '' INT TERM HUP
pids=
while read -r word; do
  case $word in
    +*) pids="$pids ${word#+}" ;;
    -*) left=; for pid in $pids; do [ "$pid" = "${word#-}" ] || left="$left $pid"; done; pids=$left ;;
  esac
done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
"""


class LocalSystemFailed(BreakwaterError):
    """A process did not start or ended on its own; the text says which, and its last line."""


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nothing listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int) -> int:
    """The preferred port if it is free, else one the system chooses."""
    if port_is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class LocalProcess:
    """One process: what it logs goes to `log_file`, what it prints can be read line by line."""

    name: str
    process: subprocess.Popen[str]
    log_file: Path
    lines: "queue.Queue[str]" = field(default_factory=queue.Queue)
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self.read_lines, daemon=True)
        self.reader.start()

    def read_lines(self) -> None:
        """Collect what the process prints, in a thread, until it ends."""
        stream = self.process.stdout
        assert stream is not None  # noqa: S101 opened as a pipe
        with stream:
            for line in stream:
                self.lines.put(line.rstrip("\n"))

    def check(self) -> None:
        """Raise `LocalSystemFailed` if the process has ended."""
        if self.process.poll() is not None:
            last = self.log_file.read_text(errors="replace").strip().splitlines()[-1:]
            raise LocalSystemFailed(f"the {self.name} ended: {last[0] if last else 'it said nothing'}")


class LocalSystem:
    """Starts processes in sessions of their own, so that Ctrl-C reaches only us and we end them in order.

    None of them outlives us, however we end.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[LocalProcess] = []
        self._guardian: subprocess.Popen[str] | None = None

    def __enter__(self) -> "LocalSystem":
        self._guardian = subprocess.Popen(  # noqa: S603 a fixed script
            ["/bin/sh", "-c", _GUARDIAN],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process, last started first, each within its bound."""
        while self._running:
            self.stop(self._running[-1])
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait()

    def _tell_guardian(self, word: str) -> None:
        """Say that a process has begun or ended."""
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.write(f"{word}\n")

    def start(self, name: str, module: str, arguments: list[str], environment: Mapping[str, str]) -> LocalProcess:
        """Start `python -m module arguments`; returns at once."""
        log_file = self._directory / f"{name}.log"
        with log_file.open("w") as log:
            process = subprocess.Popen(  # noqa: S603 our own modules
                [sys.executable, "-m", module, *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._tell_guardian(f"+{process.pid}")
        started = LocalProcess(name, process, log_file)
        self._running.append(started)
        return started

    def stop(self, running: LocalProcess) -> None:
        """Ask one process to end, wait while it drains, kill it past the bound."""
        self._running.remove(running)
        if running.process.poll() is None:
            running.process.terminate()
        try:
            running.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
        self._tell_guardian(f"-{running.process.pid}")
        running.reader.join()

    def check(self) -> None:
        """Raise `LocalSystemFailed` if any process has ended on its own."""
        for running in self._running:
            running.check()


def wait_for_url(url: str, still_runs: Callable[[], None]) -> None:
    """Wait until `url` answers below 500. Raises what `still_runs` raises, or `LocalSystemFailed` after the bound."""
    deadline = time.monotonic() + START_WITHIN_S
    with httpx2.Client(trust_env=False, timeout=2.0) as client:
        while time.monotonic() < deadline:
            still_runs()
            try:
                if client.get(url).status_code < 500:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)
    raise LocalSystemFailed(f"nothing useful answered at {url} within {START_WITHIN_S:.0f} s")


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `settings` on top, unbuffered output and no proxies for loopback calls."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **settings}
