"""Metrics of several processes that listen on one port: whichever is asked shows what all of them counted.

Each process writes its values to files of its own in a directory they share, and any of them adds them up. The files
go by the number of a process's place and not by its pid: who takes a dead one's place counts on from where that one got
to, so counters never go back, and there are never more files than places.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

_PREFIX: Final = "breakwater-metrics-"
_KINDS: Final = ("counter", "histogram", "gauge_livesum", "gauge_livemax", "gauge_livemin")
_FILE_BYTES: Final = 65_536
"""What prometheus_client begins a file with."""


@contextmanager
def shared_directory() -> Iterator[Path]:
    """A private temporary directory for the time of the block; what those who were killed left behind is removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_if_nobody_s(left)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield directory
    finally:
        os.close(held)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_if_nobody_s(directory: Path) -> None:
    """Remove such a directory unless somebody holds it; another user's stays as it is."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(handle)


def prepare(directory: Path, number: int) -> None:
    """Make the files of a place, before its process is started: one that reads a file still empty would fail."""
    for kind in _KINDS:
        file = directory / f"{kind}_{number}.db"
        if not file.exists():
            new = file.with_suffix(".new")
            new.write_bytes(bytes(_FILE_BYTES))
            new.rename(file)


def forget(directory: Path, number: int) -> None:
    """Drop the gauges of a process that has ended; what it counted stays."""
    mark_process_dead(number, str(directory))  # type: ignore[no-untyped-call]


def share(directory: Path, number: int) -> None:
    """Have every metric this process makes from now on write to the files of its place."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)  # where prometheus_client looks for it, and nowhere else
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
