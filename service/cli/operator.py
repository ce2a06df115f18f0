"""What operator commands share: open the resources, run one use case, print the outcome or one line of error."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.table import Column, Table

from service.domain.errors import BreakwaterError, StoreUnavailable
from service.domain.json_forms import json_bytes
from service.logs import configure_logging
from service.resources import Resources, open_resources
from service.settings import Settings, load_settings, warn_of_unknown_variables

_PIPED_WIDTH: Final = 1_000
"""Wider than any table."""

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def settings_or_exit(*, needs_upstream_key: bool = False, needs_encryption_key: bool = False) -> Settings:
    """The settings, or the end of the command with one line that names the variable at fault."""
    warn_of_unknown_variables()
    try:
        return load_settings(needs_upstream_key=needs_upstream_key, needs_encryption_key=needs_encryption_key)
    except BreakwaterError as error:
        raise click.ClickException(str(error)) from None


def run(use: Callable[[Resources], Awaitable[T]]) -> T:
    """Run one use case against the configured Redis. Ends the command with one line when it fails."""
    settings = settings_or_exit()
    configure_logging("warning", "cli")

    async def session() -> T:
        async with open_resources(settings) as resources:
            if settings.encryption_key:
                await resources.encryption.check_canary(resources.commands)
            return await use(resources)

    try:
        return asyncio.run(session())
    except StoreUnavailable as away:
        told = f"BREAKWATER_REDIS_URL: {away}. `breakwater check` tells what is wrong"
        raise click.ClickException(told) from None
    except BreakwaterError as error:
        raise click.ClickException(str(error)) from None


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json_bytes(value).decode())


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*row)
    # Where nobody looks at a screen nothing is cut to fit one; on a screen long cells are folded.
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    console.print(table)
