"""`breakwater upstream`: where the company's account stands, and pausing it."""

from typing import Any

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.capacity import AccountState
from service.http.admin.account import Account
from service.usecases.pause_account import MAX_WHY


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """See what the account allows and who waits for it; pause it and go on. Alone it is the same as `show`."""
    if context.invoked_subcommand is None:
        context.invoke(show)


def _limit(limit: int | None) -> str:
    """A limit for people."""
    return "no limit" if limit is None else str(limit)


def _print(state: AccountState, as_json: bool) -> None:
    """Print an account."""
    shown: dict[str, Any] = Account.show(state).model_dump(mode="json")
    if as_json:
        print_json(shown)
        return
    limits = [
        [
            one["name"],
            *("no limit" if one[field] is None else str(one[field]) for field in ("configured", "now")),
            str(one["used"]),
        ]
        for one in shown["limits"]
    ]
    print_table(["limit", "configured", "now", "used"], limits)
    balance = "not read yet" if shown["balance_usd"] is None else f"${shown['balance_usd']} at {shown['balance_at']}"
    click.echo(f"Balance: {balance}{', which is low' if shown['balance_low'] else ''}")
    if shown["waiting"]:
        click.echo(f"Waiting: {shown['waiting']} submissions, the oldest for {shown['oldest_waiting_s']:.0f} s")
        print_table(["tenant", "waiting"], [[one, str(count)] for one, count in shown["waiting_by_tenant"].items()])
    else:
        click.echo("Nothing waits.")
    if shown["backing_off_until"]:
        click.echo(f"WaveSpeed had no capacity: nothing is sent until {shown['backing_off_until']}.")
    if shown["paused_by"]:
        why = f": {shown['paused_why']}" if shown["paused_why"] else ""
        click.echo(
            f"Paused by {shown['paused_by']} since {shown['paused_at']}{why}. To go on: breakwater upstream resume"
        )


@command.command()
@json_option
def show(as_json: bool) -> None:
    """Show limits, balance, pause, and who waits."""
    _print(run(lambda resources: resources.pause_account.state()), as_json)


@command.command()
@click.option("--why", default="", help="For whoever looks at it later.")
@json_option
def pause(why: str, as_json: bool) -> None:
    """Send nothing more to WaveSpeed until `resume`; submissions wait. What runs goes on."""
    if len(why) > MAX_WHY:
        raise click.ClickException(f"--why: at most {MAX_WHY} characters")
    _print(run(lambda resources: resources.pause_account.pause(why)), as_json)


@command.command()
@json_option
def resume(as_json: bool) -> None:
    """Go on, whether an operator paused it or WaveSpeed refused the account."""
    _print(run(lambda resources: resources.pause_account.resume()), as_json)
