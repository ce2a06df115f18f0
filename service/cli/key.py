"""`breakwater key`: create and revoke API keys."""

import click

from service.cli.operator import json_option, print_json, run


@click.group()
def command() -> None:
    """Create and revoke API keys."""


@command.command()
@click.argument("tenant")
@click.option("--name", default="default", show_default=True, help="A name to tell keys apart.")
@json_option
def create(tenant: str, name: str, as_json: bool) -> None:
    """Issue a key to TENANT. It is shown once."""
    key, text = run(lambda resources: resources.administer.create_key(tenant, name))
    if as_json:
        print_json({"id": key.id, "name": key.name, "tenant": key.tenant, "key": text})
        return
    click.echo(f"Key {key.id} for {tenant}, shown once:\n\n  {text}\n")
    click.echo(f"To take it back: breakwater key revoke {tenant} {key.id}")


@command.command()
@click.argument("tenant")
@click.argument("key_id")
@json_option
def revoke(tenant: str, key_id: str, as_json: bool) -> None:
    """Revoke the key KEY_ID of TENANT; it stops working everywhere within 5 seconds."""
    run(lambda resources: resources.administer.revoke_key(tenant, key_id))
    if as_json:
        print_json({"id": key_id, "tenant": tenant, "revoked": True})
        return
    click.echo(f"Key {key_id} revoked; it stops working everywhere within 5 seconds.")
