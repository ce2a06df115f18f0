"""`breakwater tenant`: create and list tenants."""

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.predictions import rfc3339
from service.domain.tenants import Tenant


@click.group()
def command() -> None:
    """Create and list tenants."""


def _shown(tenant: Tenant) -> dict[str, object]:
    """A tenant as this command prints it."""
    return {
        "id": tenant.id,
        "name": tenant.name,
        "state": tenant.state.value,
        "callback_allow": tenant.callback_allow,
        "created_at": rfc3339(tenant.created_at_ms),
    }


@command.command()
@click.argument("tenant")
@click.option("--name", default="", help="Display name; the id when left out.")
@click.option("--callback-allow", default=None, help="Where its callbacks may go, instead of the global list.")
@json_option
def create(tenant: str, name: str, callback_allow: str | None, as_json: bool) -> None:
    """Create TENANT: an id of a-z, 0-9 and hyphens."""
    made = run(lambda resources: resources.administer.create_tenant(tenant, name, callback_allow))
    if as_json:
        print_json(_shown(made))
        return
    click.echo(f"Tenant {made.id} created.\nNext: breakwater key create {made.id}")


@command.command("list")
@json_option
def list_tenants(as_json: bool) -> None:
    """List every tenant."""
    tenants = run(lambda resources: resources.tenants.list())
    if as_json:
        print_json([_shown(tenant) for tenant in tenants])
        return
    print_table(
        ["tenant", "name", "state", "created"],
        [[t.id, t.name, t.state.value, rfc3339(t.created_at_ms)] for t in tenants],
    )
