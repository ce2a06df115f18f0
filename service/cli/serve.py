"""`breakwater serve`: the gateway process, or several of them on one port."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click

from service.domain.errors import BreakwaterError
from service.gateway_crew import UNUSABLE, run_crew
from service.logs import configure_logging
from service.settings import Settings, load_settings, warn_of_unknown_variables

MAX_WORKERS: Final = 64
"""More processes than one machine serves with."""


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=1,
    show_default=True,
    help="Processes that share the port; /metrics of any shows what all of them counted.",
)
@click.option("--place", hidden=True, help="What a process that is one of several is given by the one that started it.")
def command(workers: int, place: str | None) -> None:
    """Run the gateway, configured by the environment. SIGTERM or Ctrl-C drains it."""
    if place is None:  # told once
        warn_of_unknown_variables()
    try:
        settings = load_settings(needs_upstream_key=True, needs_encryption_key=True)
        if workers == 1:
            _run_one(settings, place)
        else:
            sys.exit(_run_several(settings, workers))
    except BreakwaterError as error:
        raise (click.ClickException if place is None else _Unusable)(str(error)) from None


class _Unusable(click.ClickException):
    """The end of one of several with a status that says that none would do better."""

    exit_code = UNUSABLE


def _run_one(settings: Settings, place: str | None = None) -> None:
    """Run one gateway. Raises `BreakwaterError` when it cannot work as things are set."""
    import uvloop

    from service.gateway import Place, run_gateway

    given = None
    if place is not None:
        number, descriptor, directory = place.split(":", 2)
        given = Place(int(number), int(descriptor), Path(directory))
    configure_logging(settings.log_level, f"gateway-{given.number}" if given else "gateway")
    uvloop.run(run_gateway(settings, given))


def _run_several(settings: Settings, count: int) -> int:
    """Run several, and nothing of a gateway in this process: it only looks after them."""
    configure_logging(settings.log_level, "gateway")
    return asyncio.run(run_crew(settings, count))
