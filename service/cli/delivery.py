"""`breakwater delivery`: what was sent to teams, what came of it, and sending it again."""

from datetime import datetime

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.deliveries import Delivery
from service.domain.errors import NotFound
from service.http.native.deliveries import MAX_PAGE, STATES, DeliveryDetails, delivery_details, shown_fields
from service.resources import Resources
from service.stores import keys

_since = click.option("--since", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="As 2026-01-31T12:00:00Z.")


@click.group()
def command() -> None:
    """See what was sent to teams, and send it again."""


@command.command("list")
@click.argument("tenant")
@click.option("--endpoint", help="Of one endpoint.")
@click.option("--prediction", help="Of one prediction.")
@click.option("--state", type=click.Choice(STATES), help="In one state.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=50, show_default=True, help="How many at most.")
@json_option
def list_deliveries(
    tenant: str, endpoint: str | None, prediction: str | None, state: str | None, limit: int, as_json: bool
) -> None:
    """List TENANT's deliveries, newest first."""

    def fits(one: Delivery) -> bool:
        return (
            one.tenant == tenant
            and endpoint in (None, one.endpoint)
            and prediction in (None, one.prediction)
            and state in (None, one.state)
        )

    async def found(resources: Resources) -> list[Delivery]:
        await resources.tenants.get(tenant)
        if prediction is not None:
            return [one for one in await resources.deliveries.of_prediction(prediction) if fits(one)][:limit]
        index = keys.tenant_deliveries(tenant) if endpoint is None else keys.lane_deliveries(endpoint)
        if state == "dead":
            index = keys.tenant_dead(tenant) if endpoint is None else keys.lane_dead(endpoint)
        return (await resources.deliveries.page(index, limit, None, fits)).deliveries

    _print(run(found), as_json)


@command.command()
@click.argument("delivery")
@json_option
def show(delivery: str, as_json: bool) -> None:
    """Show a DELIVERY with every attempt."""

    async def read(resources: Resources) -> DeliveryDetails:
        found = await resources.deliveries.load(delivery)
        if found is None:
            raise NotFound(f"no delivery {delivery}, or none any more")
        return await delivery_details(resources.deliveries, found)

    details = run(read)
    if as_json:
        print_json(details.model_dump())
        return
    click.echo(f"{details.id}: {details.event_type}, {details.state}, webhook-id {details.webhook_id}")
    print_table(
        ["attempt", "at", "seconds", "outcome", "status", "error"],
        [
            [str(one.number), one.at, f"{one.duration_s or 0:.3f}", one.outcome, str(one.status or ""), one.error]
            for one in details.attempts_made
        ],
    )
    if details.next_attempt_at:
        click.echo(f"Next attempt: {details.next_attempt_at}")


@command.command()
@click.argument("delivery")
def resend(delivery: str) -> None:
    """Send a DELIVERY again, under the same webhook-id."""

    async def again(resources: Resources) -> Delivery:
        return await resources.resend(delivery)

    run(again)
    click.echo(f"Delivery {delivery} is sent again. Next: breakwater delivery show {delivery}")


@command.command()
@click.option("--tenant", help="Of one tenant.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=50, show_default=True, help="How many at most.")
@json_option
def dead(tenant: str | None, limit: int, as_json: bool) -> None:
    """List deliveries that were given up, newest first."""

    async def found(resources: Resources) -> list[Delivery]:
        index = keys.DEAD if tenant is None else keys.tenant_dead(tenant)
        return (await resources.deliveries.page(index, limit, None, lambda one: one.state == "dead")).deliveries

    _print(run(found), as_json)


@command.command("resend-dead")
@click.option("--tenant", help="Of one tenant.")
@click.option("--endpoint", help="Of one endpoint.")
@_since
@json_option
def resend_dead(tenant: str | None, endpoint: str | None, since: datetime | None, as_json: bool) -> None:
    """Send deliveries again that were given up: all of them, or those named."""

    async def again(resources: Resources) -> int:
        return await resources.resend.dead_letters(tenant, endpoint, int(since.timestamp() * 1000) if since else 0)

    resent = run(again)
    if as_json:
        print_json({"resent": resent})
        return
    click.echo(f"{resent} deliveries are sent again.")


def _print(deliveries: list[Delivery], as_json: bool) -> None:
    """A list of deliveries."""
    if as_json:
        print_json([{"tenant": one.tenant, **shown_fields(one)} for one in deliveries])
        return
    print_table(
        ["delivery", "tenant", "event", "state", "attempts", "owed since"],
        [
            [shown["id"], one.tenant, one.event, one.state, str(one.attempts), shown["created_at"]]
            for one in deliveries
            for shown in [shown_fields(one)]
        ],
    )
