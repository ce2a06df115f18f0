"""`breakwater tenant`: tenants, their limits, and what they used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from service.cli.operator import json_option, print_json, print_table, run
from service.domain.limits import LIMITS, NUMBERS
from service.domain.tenant_spec import TenantSpec, read_spec
from service.domain.tenants import Tenant
from service.domain.tenants_file import BadTenantsFile, read_tenants_file
from service.domain.timestamps import rfc3339
from service.domain.usage import COLUMNS, UsageRow, usage_csv
from service.resources import Resources
from service.usecases.apply_tenants import TenantChange

_LIMIT_FIELDS: Final = tuple("budget_usd" if name == "budget_micros" else name for name in NUMBERS)
"""The limits by the names of the admin API."""

Command = Callable[..., Any]


@click.group()
def command() -> None:
    """Create tenants, set their limits, see what they used."""


def _shown(tenant: Tenant) -> dict[str, Any]:
    """A tenant as this command prints it: the admin API's shape."""
    return {
        "id": tenant.id,
        **TenantSpec.of(tenant).model_dump(),
        "state": tenant.state.value,
        "managed": sorted(tenant.managed),
        "created_at": rfc3339(tenant.created_at_ms),
    }


def _spec_options(decorated: Command) -> Command:
    """The options that say what a tenant is, named as the admin API's fields."""
    options = [
        click.option("--name", default=None, help="Display name; the id when left out."),
        click.option("--rate-per-minute", type=int, default=None, help="Submissions a minute."),
        click.option("--burst", type=int, default=None, help="How many of them may come at once."),
        click.option("--concurrency", type=int, default=None, help="Predictions at once."),
        click.option("--daily", type=int, default=None, help="Predictions a UTC day."),
        click.option("--monthly", type=int, default=None, help="Predictions a UTC month."),
        click.option("--budget-usd", default=None, help="Dollars a UTC month, e.g. 250.00."),
        click.option("--max-queued", type=int, default=None, help="Submissions that wait for the account."),
        click.option("--shadow", multiple=True, type=click.Choice(LIMITS), help="Count this limit, refuse nothing."),
        click.option("--weight", type=int, default=None, help="Its share of the account."),
        click.option("--model", "models", multiple=True, help="A model it may use, * for any characters; repeat."),
        click.option(
            "--callback-allow", multiple=True, help="Where its callbacks may go, instead of the global list; repeat."
        ),
    ]
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as the fields of a spec."""
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    present = {name: value for name, value in fields.items() if value not in (None, [])}
    if "callback_allow" in present:  # a list may also be written with commas
        present["callback_allow"] = [part for text in present["callback_allow"] for part in text.split(",")]
    limits = {name: present.pop(name) for name in (*_LIMIT_FIELDS, "shadow") if name in present}
    return present | ({"limits": limits} if limits else {})


def _print_tenant(tenant: Tenant, as_json: bool, told: str) -> None:
    """Print the tenant for scripts, or what was done to it for people."""
    if as_json:
        print_json(_shown(tenant))
    else:
        click.echo(told)


@command.command()
@click.argument("tenant")
@_spec_options
@json_option
def create(tenant: str, as_json: bool, **options: Any) -> None:
    """Create TENANT: an id of a-z, 0-9 and hyphens. A limit that is left out does not limit."""
    made = run(lambda resources: resources.administer.create_tenant(tenant, read_spec(_given(options))))
    _print_tenant(made, as_json, f"Tenant {made.id} created.\nNext: breakwater key create {made.id}")


@command.command("set")
@click.argument("tenant")
@_spec_options
@click.option("--no-limit", "lifted", multiple=True, type=click.Choice(_LIMIT_FIELDS), help="Lift this limit; repeat.")
@click.option("--no-shadow", is_flag=True, help="Let every limit refuse again.")
@click.option("--all-models", is_flag=True, help="Let it use every model.")
@click.option("--global-callbacks", is_flag=True, help="Let the global callback list hold for it.")
@click.option("--force", is_flag=True, help="Also change fields that the tenants file manages.")
@json_option
def set_fields(
    tenant: str,
    as_json: bool,
    lifted: tuple[str, ...],
    no_shadow: bool,
    all_models: bool,
    global_callbacks: bool,
    force: bool,
    **options: Any,
) -> None:
    """Change what is given of TENANT, leave the rest; it acts on the next submission."""

    async def change(resources: Resources) -> Tenant:
        before = await resources.tenants.get(tenant)
        wanted, given = TenantSpec.of(before).model_dump(), _given(options)
        limits = {**wanted["limits"], **given.pop("limits", {}), **dict.fromkeys(lifted)}
        if limits["rate_per_minute"] is None:
            limits["burst"] = None
        if no_shadow:
            limits["shadow"] = []
        given |= dict.fromkeys(["models"] * all_models + ["callback_allow"] * global_callbacks)
        spec = read_spec({**wanted, **given, "limits": limits})
        return await resources.administer.update_tenant(before, spec, before.managed, force=force)

    _print_tenant(run(change), as_json, f"Tenant {tenant} changed.\nNext: breakwater tenant show {tenant}")


@command.command()
@click.argument("tenant")
@json_option
def show(tenant: str, as_json: bool) -> None:
    """Show TENANT with its limits."""
    found = run(lambda resources: resources.tenants.get(tenant))
    if as_json:
        print_json(_shown(found))
        return
    fields = _shown(found)
    limits = fields.pop("limits")
    rows = [*fields.items(), *((f"limits.{name}", value) for name, value in limits.items())]
    print_table(["field", "value"], [[name, "" if value is None else str(value)] for name, value in rows])


@command.command("list")
@json_option
def list_tenants(as_json: bool) -> None:
    """List every tenant."""
    tenants = run(lambda resources: resources.tenants.list())
    if as_json:
        print_json([_shown(tenant) for tenant in tenants])
        return
    print_table(
        ["tenant", "name", "state", "limits", "created"],
        [[t.id, t.name, t.state.value, _limits_of(t), rfc3339(t.created_at_ms)] for t in tenants],
    )


def _limits_of(tenant: Tenant) -> str:
    """A tenant's limits in a cell."""
    limits = TenantSpec.of(tenant).limits.model_dump(exclude={"shadow"}, exclude_none=True)
    return ", ".join(f"{name} {value}" for name, value in limits.items()) or "none"


@command.command()
@click.argument("tenant")
@json_option
def suspend(tenant: str, as_json: bool) -> None:
    """Refuse TENANT's submissions; what runs goes on, results stay readable."""
    suspended = run(lambda resources: resources.administer.set_suspended(tenant, True))
    _print_tenant(suspended, as_json, f"Tenant {tenant} suspended.\nTo end it: breakwater tenant resume {tenant}")


@command.command()
@click.argument("tenant")
@json_option
def resume(tenant: str, as_json: bool) -> None:
    """Let a suspended TENANT submit again."""
    resumed = run(lambda resources: resources.administer.set_suspended(tenant, False))
    _print_tenant(resumed, as_json, f"Tenant {tenant} may submit again.")


@command.command()
@click.argument("tenant")
@json_option
def delete(tenant: str, as_json: bool) -> None:
    """Delete TENANT with its keys and endpoints, once its predictions have ended. Its usage stays."""
    run(lambda resources: resources.administer.delete_tenant(tenant))
    if as_json:
        print_json({"id": tenant, "deleted": True})
    else:
        click.echo(f"Tenant {tenant} deleted.")


@command.command()
@click.argument("tenant", default="")
@click.option("--since", default="", help="First day, e.g. 2026-01-31; the first of this month when left out.")
@click.option("--until", default="", help="Last day; today when left out.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
def usage(tenant: str, since: str, until: str, as_csv: bool, as_json: bool) -> None:
    """Show what TENANT (or every tenant) used, by UTC day of admission and model."""
    rows: list[UsageRow] = run(lambda resources: resources.report_usage(tenant, since, until))
    if as_json:
        print_json([row.shown() for row in rows])
    elif as_csv:
        click.echo(usage_csv(rows), nl=False)
    else:
        print_table(list(COLUMNS), [row.cells() for row in rows])


@command.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--prune", is_flag=True, help="Delete tenants that a file made and this one does not name.")
@json_option
def apply_file(file: Path, dry_run: bool, prune: bool, as_json: bool) -> None:
    """Make the tenants what FILE says, and print what changed. Applying a file again changes nothing."""

    async def apply(resources: Resources) -> list[TenantChange]:
        try:
            written = read_tenants_file(text)
            return await resources.apply_tenants(written, prune=prune, dry_run=dry_run)
        except BadTenantsFile as wrong:
            raise BadTenantsFile(f"{file}: {wrong}") from None

    try:
        text = file.read_text("utf-8")
    except (UnicodeDecodeError, OSError) as wrong:
        raise click.ClickException(f"{file}: {wrong}") from None
    changes = run(apply)
    if as_json:
        print_json([_change_shown(change) for change in changes])
        return
    for change in changes:
        click.echo("\n".join(change.lines()))
    changed = sum(change.kind in ("create", "update", "delete") for change in changes)
    click.echo(f"{changed} of {len(changes)} tenants {'would change' if dry_run else 'changed'}.")


def _change_shown(change: TenantChange) -> dict[str, Any]:
    """A change for scripts."""
    return {
        "tenant": change.tenant,
        "kind": change.kind,
        "fields": [{"field": each.field, "before": each.before, "after": each.after} for each in change.fields],
        "keys_added": change.keys_added,
        "keys_revoked": change.keys_revoked,
        "problem": change.problem,
    }
