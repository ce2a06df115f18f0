"""What capacity costs a submission that does not have to wait for it; and any revision against an earlier one."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.ground import new_tenant, process_settings, start_stub, submission, wait_ready
from benchmarks.measured import OURS, MeasuredPath, Round, Target
from benchmarks.processes import Bench, drive

BEFORE: Final = "BEFORE"
"""The variable that names the earlier revision."""

ROOM: Final = {"BREAKWATER_UPSTREAM_CONCURRENCY": "1000000", "BREAKWATER_UPSTREAM_PER_MINUTE": "1000000"}
"""Limits of the account that are looked at by every submission and never reached."""

WITHOUT: Final = "breakwater, an account without limits"
EARLIER: Final = "breakwater as it was before"


def capacity(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Submissions before an account with limits that are never reached, against one without."""
    stub_port = start_stub(bench)
    return [
        MeasuredPath(
            "capacity",
            "submissions/s per core",
            WITHOUT,
            {
                OURS: _submissions(bench, redis_url, stub_port, ROOM),
                WITHOUT: _submissions(bench, bench.redis(), stub_port, {}),
            },
            (Target(0.95, WITHOUT),),
            per_core=True,
        )
    ]


def before(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Submissions to this revision against those to the one that the environment names."""
    revision = os.environ.get(BEFORE)
    if not revision:
        raise SystemExit(f"say which revision: make bench BENCH=before {BEFORE}=COMMIT")
    checkout = bench.directory / "before"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(checkout), revision], check=True)
    bench.at_end(lambda: subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], check=True))
    stub_port = start_stub(bench)
    return [
        MeasuredPath(
            "before",
            "submissions/s per core",
            EARLIER,
            {
                OURS: _submissions(bench, redis_url, stub_port, {}),
                EARLIER: _submissions(bench, bench.redis(), stub_port, {}, checkout),
            },
            (Target(0.95, EARLIER),),
            per_core=True,
        )
    ]


def _submissions(
    bench: Bench, redis_url: str, stub_port: int, more: dict[str, str], checkout: Path | None = None
) -> Round:
    """A gateway on a database of its own, and a round of submissions to it."""
    port = bench.port()
    settings = process_settings(redis_url, stub_port, port, bench.port(), **more)
    gateway = bench.start("service", "serve", measured=True, settings=settings, directory=checkout)
    wait_ready(port)
    return drive(gateway, port, submission(asyncio.run(new_tenant(redis_url))))
