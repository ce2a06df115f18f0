"""`breakwater simulate`: become the simulator process."""

import os
import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Run the WaveSpeed simulator alone; `breakwater simulate --help` lists its options."""
    os.execv(sys.executable, [sys.executable, "-m", "simulator", *arguments])  # noqa: S606 our own program, no shell
