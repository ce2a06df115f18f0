"""`breakwater endpoint`: callback URLs, for operators."""

from datetime import datetime
from typing import Any

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.endpoints import Endpoint
from service.domain.errors import NotFound
from service.domain.timestamps import rfc3339
from service.resources import Resources
from service.stores.lane_health import Health
from service.usecases.change_endpoint import EndpointChanges
from service.usecases.try_endpoint import Trial


@click.group()
def command() -> None:
    """Register callback endpoints, and look after them."""


def _shown(endpoint: Endpoint) -> dict[str, object]:
    """An endpoint as this command prints it, without its secrets."""
    return {
        "id": endpoint.id,
        "tenant": endpoint.tenant,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "state": endpoint.state,
        "disabled_by": endpoint.disabled_by or None,
        "description": endpoint.description,
        "created_at": rfc3339(endpoint.created_at_ms),
    }


def _health(health: Health) -> dict[str, Any]:
    """A receiver's health as this command prints it."""
    return {
        "breaker": health.breaker,
        "pending": health.pending,
        "dead": health.dead,
        "delivered": health.delivered,
        "failed": health.failed,
        "last_failure": health.failure or None,
        "failing_since": rfc3339(health.failing_since_ms) if health.failing_since_ms else None,
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
    click.echo(f"\nNext: breakwater endpoint test {tenant} {endpoint.id}")


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


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
@json_option
def show(tenant: str, endpoint: str, as_json: bool) -> None:
    """Show one ENDPOINT of TENANT, and how its receiver is doing."""

    async def read(resources: Resources) -> tuple[Endpoint, Health]:
        found = await resources.endpoints.get(tenant, endpoint)
        if found is None:
            raise NotFound(f"tenant {tenant} has no endpoint {endpoint}")
        return found, await resources.lane_health.of(endpoint, int(resources.clock() * 1000))

    found, health = run(read)
    if as_json:
        print_json(_shown(found) | {"health": _health(health)})
        return
    fields = _shown(found) | _health(health)
    print_table(["field", "value"], [[name, _text(value)] for name, value in fields.items()])


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
@click.option("--url", help="Where events are sent from now on.")
@click.option("--event", "events", multiple=True, help="The event types wanted from now on; repeat for more.")
@click.option("--all-events", is_flag=True, help="Every event type from now on.")
@click.option("--description", help="A note for humans.")
@json_option
def update(
    tenant: str,
    endpoint: str,
    url: str | None,
    events: tuple[str, ...],
    all_events: bool,
    description: str | None,
    as_json: bool,
) -> None:
    """Change an ENDPOINT of TENANT; what is not named stays as it is."""
    wanted = list(events) if events else [] if all_events else None
    _change(tenant, endpoint, EndpointChanges(url, wanted, description), as_json, "changed")


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
@json_option
def enable(tenant: str, endpoint: str, as_json: bool) -> None:
    """Send an ENDPOINT of TENANT events again."""
    _change(tenant, endpoint, EndpointChanges(enabled=True), as_json, "enabled")
    if not as_json:
        click.echo(f"Next: breakwater endpoint recover {tenant} {endpoint} --since TIME")


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
@json_option
def disable(tenant: str, endpoint: str, as_json: bool) -> None:
    """Send an ENDPOINT of TENANT nothing any more; what waits for it goes to the dead letters."""
    _change(tenant, endpoint, EndpointChanges(enabled=False), as_json, "disabled")


def _change(tenant: str, endpoint: str, changes: EndpointChanges, as_json: bool, done: str) -> None:
    """Change an endpoint, and say so."""

    async def change(resources: Resources) -> Endpoint:
        owner = await resources.tenants.get(tenant)
        return await resources.change_endpoint.update(owner, endpoint, changes, "operator")

    after = run(change)
    if as_json:
        print_json(_shown(after))
        return
    click.echo(f"Endpoint {endpoint} {done}.")


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
def delete(tenant: str, endpoint: str) -> None:
    """Delete an ENDPOINT of TENANT; what waits for it goes to the dead letters."""

    async def remove(resources: Resources) -> None:
        await resources.change_endpoint.delete(tenant, endpoint)

    run(remove)
    click.echo(f"Endpoint {endpoint} deleted.")


@command.command("rotate-secret")
@click.argument("tenant")
@click.argument("endpoint")
@json_option
def rotate_secret(tenant: str, endpoint: str, as_json: bool) -> None:
    """Give an ENDPOINT of TENANT a new secret, shown once; for 24 hours the one before signs as well."""

    async def rotate(resources: Resources) -> tuple[Endpoint, str]:
        return await resources.change_endpoint.rotate_secret(tenant, endpoint)

    found, secret = run(rotate)
    if as_json:
        print_json(_shown(found) | {"secret": secret})
        return
    click.echo(f"The new signing secret of {endpoint}, shown once:\n\n  {secret}")


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
@json_option
def test(tenant: str, endpoint: str, as_json: bool) -> None:
    """Send an ENDPOINT of TENANT a test message, and tell what its receiver did; needs a running worker."""

    async def send(resources: Resources) -> Trial:
        return await resources.try_endpoint(tenant, endpoint)

    trial = run(send)
    if as_json:
        print_json({"delivery_id": trial.delivery.id, "state": trial.delivery.state, "attempt": trial.attempt})
        return
    if trial.attempt is None:
        raise click.ClickException("no worker has sent it yet; is one running?")
    told = trial.attempt["error"] or f"answered {trial.attempt['status']}"
    click.echo(f"{trial.attempt['outcome']}: {told}, after {trial.attempt.get('duration_s') or 0:.3f} s")


@command.command()
@click.argument("tenant")
@click.argument("endpoint")
@click.option("--since", required=True, type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="As 2026-01-31T12:00:00Z.")
@json_option
def recover(tenant: str, endpoint: str, since: datetime, as_json: bool) -> None:
    """Send an ENDPOINT of TENANT again what was given up since a time."""

    async def recover_all(resources: Resources) -> int:
        return await resources.resend.recover(tenant, endpoint, int(since.timestamp() * 1000))

    recovered = run(recover_all)
    if as_json:
        print_json({"recovered": recovered})
        return
    click.echo(f"{recovered} deliveries are sent again.")


def _text(value: object) -> str:
    """A field for a table."""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "all"
    return "" if value is None else str(value)
