"""`breakwater endpoint`: register and list callback endpoints."""

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.endpoints import Endpoint
from service.domain.predictions import rfc3339
from service.resources import Resources


@click.group()
def command() -> None:
    """Register and list callback endpoints."""


def _shown(endpoint: Endpoint) -> dict[str, object]:
    """An endpoint as this command prints it, without its secrets."""
    return {
        "id": endpoint.id,
        "tenant": endpoint.tenant,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "state": endpoint.state,
        "description": endpoint.description,
        "created_at": rfc3339(endpoint.created_at_ms),
    }


@command.command()
@click.argument("tenant")
@click.argument("url")
@click.option("--event", "events", multiple=True, help="An event type wanted; repeat for more. None: every type.")
@click.option("--description", default="", help="A note for humans.")
@json_option
def create(tenant: str, url: str, events: tuple[str, ...], description: str, as_json: bool) -> None:
    """Send TENANT's events to URL. The signing secret is shown once."""

    async def register(resources: Resources) -> tuple[Endpoint, str]:
        owner = await resources.tenants.get(tenant)
        return await resources.register_endpoint(owner, url, list(events), description)

    endpoint, secret = run(register)
    if as_json:
        print_json(_shown(endpoint) | {"secret": secret})
        return
    click.echo(f"Endpoint {endpoint.id} registered. Its signing secret, shown once:\n\n  {secret}")


@command.command("list")
@click.argument("tenant")
@json_option
def list_endpoints(tenant: str, as_json: bool) -> None:
    """List TENANT's endpoints."""

    async def listed(resources: Resources) -> list[Endpoint]:
        owner = await resources.tenants.get(tenant)
        return await resources.endpoints.list(owner.id)

    endpoints = run(listed)
    if as_json:
        print_json([_shown(endpoint) for endpoint in endpoints])
        return
    print_table(
        ["endpoint", "url", "events", "state"],
        [[e.id, e.url, ", ".join(e.events) or "all", e.state] for e in endpoints],
    )
