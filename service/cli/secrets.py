"""`breakwater secrets`: the encryption of stored secrets."""

from dataclasses import asdict

import click

from service.cli.operator import json_option, print_json, run
from service.resources import Resources
from service.usecases.reencrypt import Reencrypted


@click.group()
def command() -> None:
    """Look after the encryption of stored secrets."""


@command.command()
@json_option
def reencrypt(as_json: bool) -> None:
    """Put every stored secret under the first of BREAKWATER_ENCRYPTION_KEY, so that the others can go."""

    async def use(resources: Resources) -> Reencrypted:
        return await resources.reencrypt()

    result = run(use)
    if as_json:
        print_json(asdict(result))
    else:
        click.echo(f"{result.done} secrets are under the first key of BREAKWATER_ENCRYPTION_KEY now.")
        if not result.unreadable:
            click.echo("Next: take the other keys out of the setting, everywhere.")
    if result.unreadable:
        raise click.ClickException(
            f"{result.unreadable} secrets are readable with none of the keys: add the key they were written with and"
            " run this again, or rotate them (breakwater endpoint rotate-secret)"
        )
