"""`breakwater serve`: the gateway process."""

import click
import uvloop

from service.cli.operator import settings_or_exit
from service.domain.errors import BreakwaterError
from service.gateway import run_gateway
from service.logs import configure_logging


@click.command()
def command() -> None:
    """Run the gateway, configured by the environment. SIGTERM or Ctrl-C drains it."""
    settings = settings_or_exit(needs_upstream_key=True, needs_encryption_key=True)
    configure_logging(settings.log_level, "gateway")
    try:
        uvloop.run(run_gateway(settings))
    except BreakwaterError as error:
        raise click.ClickException(str(error)) from None
