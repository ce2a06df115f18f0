"""`breakwater prediction`: look at one, cancel it, find those that are stuck or were never closed."""

from typing import Any

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.errors import NotFound
from service.domain.money import dollars
from service.domain.predictions import Prediction
from service.domain.timestamps import rfc3339, rfc3339_or_none
from service.resources import Resources

limit_option = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="How many at most."
)


@click.group()
def command() -> None:
    """See, cancel and audit predictions."""


def _shown(prediction: Prediction) -> dict[str, Any]:
    """A prediction for operators: what became of it, never its prompt or its outputs."""
    return {
        "id": prediction.id,
        "tenant": prediction.tenant,
        "model": prediction.model,
        "state": prediction.state.value,
        "price_usd": dollars(prediction.price_micros),
        "money": prediction.money,
        "closed": prediction.closed or None,
        "upstream_id": prediction.upstream_id or None,
        "evidence": prediction.evidence or None,
        "created_at": rfc3339(prediction.created_at_ms),
        "started_at": rfc3339_or_none(prediction.started_at_ms),
        "ended_at": rfc3339_or_none(prediction.ended_at_ms),
        "closed_at": rfc3339_or_none(prediction.closed_at_ms),
    }


@command.command()
@click.argument("prediction_id")
@json_option
def show(prediction_id: str, as_json: bool) -> None:
    """Show where PREDICTION_ID stands, upstream and in the books."""

    async def load(resources: Resources) -> Prediction:
        prediction = await resources.predictions.load(prediction_id)
        if prediction is None:
            raise NotFound(f"prediction {prediction_id[:64]!r} not found")
        return prediction

    shown = _shown(run(load))
    if as_json:
        print_json(shown)
        return
    print_table(["field", "value"], [[name, "-" if value is None else str(value)] for name, value in shown.items()])


@command.command()
@click.argument("prediction_id")
@json_option
def cancel(prediction_id: str, as_json: bool) -> None:
    """Cancel PREDICTION_ID; what it costs turns out when WaveSpeed has ended it."""
    prediction = run(lambda resources: resources.cancel(prediction_id))
    if as_json:
        print_json(_shown(prediction))
        return
    click.echo(f"Prediction {prediction.id} of {prediction.tenant} is canceled.")
    click.echo(f"What it costs turns out later: breakwater prediction show {prediction.id}")


@command.command()
@limit_option
@json_option
def stuck(limit: int, as_json: bool) -> None:
    """List predictions that have not moved for their model's deadline and five minutes, the longest first."""
    found = [one.shown() for one in run(lambda resources: resources.find_stuck(limit))]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing is stuck.")
        return
    print_table(list(found[0]), [[str(value) for value in one.values()] for one in found])
    click.echo("A worker keeps looking at them. To end one for its tenant: breakwater prediction cancel ID")


@command.command()
@limit_option
@json_option
def orphaned(limit: int, as_json: bool) -> None:
    """List canceled and expired predictions of which WaveSpeed never said how they ended, the newest first.

    They count as paid. Compare them with WaveSpeed's own bill.
    """
    found = [_shown(one) for one in run(lambda resources: resources.predictions.newest_orphaned(limit))]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing is orphaned.")
        return
    columns = ["id", "tenant", "model", "state", "price_usd", "upstream_id", "ended_at", "closed_at"]
    print_table(columns, [[str(one[name] or "-") for name in columns] for one in found])
    click.echo("They count as paid: look their upstream ids up in WaveSpeed's own list.")
