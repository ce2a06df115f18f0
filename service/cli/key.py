"""`breakwater key`: issue, list and revoke API keys."""

from typing import Any

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.api_keys import digest
from service.domain.tenants import ApiKey
from service.domain.timestamps import rfc3339


@click.group()
def command() -> None:
    """Issue, list and revoke API keys."""


def _shown(key: ApiKey) -> dict[str, Any]:
    """A key as this command prints it."""
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "created_at": rfc3339(key.created_at_ms),
        "last_used_at": None if key.last_used_at_ms is None else rfc3339(key.last_used_at_ms),
        "expires_at": None if key.expires_at_ms is None else rfc3339(key.expires_at_ms),
    }


@command.command()
@click.argument("tenant")
@click.option("--name", default="default", show_default=True, help="A name to tell keys apart.")
@click.option(
    "--expires-in-days", type=click.IntRange(1, 3650), default=None, help="Days until it expires; never when left out."
)
@json_option
def create(tenant: str, name: str, expires_in_days: int | None, as_json: bool) -> None:
    """Issue a key to TENANT. It is shown once."""
    expires_in_s = None if expires_in_days is None else expires_in_days * 86_400.0
    key, text = run(lambda resources: resources.administer.create_key(tenant, name, expires_in_s))
    if as_json:
        print_json(_shown(key) | {"key": text, "sha256": f"sha256:{digest(text)}"})
        return
    click.echo(f"Key {key.id} for {tenant}, shown once:\n\n  {text}\n")
    click.echo(f'In a tenants file it is "sha256:{digest(text)}".')
    click.echo(f"To take it back: breakwater key revoke {tenant} {key.id}")


@command.command("list")
@click.argument("tenant")
@json_option
def list_keys(tenant: str, as_json: bool) -> None:
    """List TENANT's keys, oldest first; the keys themselves are not known."""
    keys = run(lambda resources: resources.administer.list_keys(tenant))
    if as_json:
        print_json([_shown(key) for key in keys])
        return
    rows = [[str(value or "never") for value in _shown(key).values()] for key in keys]
    print_table(["key", "name", "tenant", "created", "last used", "expires"], rows)


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
