"""`breakwater worker`: become the worker process."""

import os
import sys

import click


@click.command()
def command() -> None:
    """Run a worker, configured by the environment. SIGTERM or Ctrl-C drains it."""
    os.execv(sys.executable, [sys.executable, "-m", "worker"])  # noqa: S606 our own program, no shell
