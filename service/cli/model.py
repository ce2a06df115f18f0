"""`breakwater model`: what may be submitted to, and whether a file of models can be used. Needs no Redis."""

import tomllib
from pathlib import Path
from typing import Any

import click

from service.cli.operator import json_option, print_json, print_table, settings_or_exit
from service.domain.catalogue import Catalogue, ModelState
from service.domain.catalogue_file import BadCatalogue, read_catalogue
from service.domain.errors import NotFound
from service.domain.money import dollars
from service.http.native.models import ModelShown
from service.resources import read_models
from service.settings import BadSetting


@click.group()
def command() -> None:
    """See the catalogue, and check a file of models."""


def _catalogue() -> Catalogue:
    """The catalogue the gateway would have here."""
    try:
        return read_models(settings_or_exit())
    except BadSetting as error:
        raise click.ClickException(str(error)) from None


@command.command("list")
@click.option("--state", type=click.Choice([state.value for state in ModelState]), help="Only models of this state.")
@json_option
def list_models(state: str | None, as_json: bool) -> None:
    """List the built-in models and those of BREAKWATER_MODELS_FILE."""
    models = [model for model in _catalogue() if state in (None, model.state.value)]
    if as_json:
        print_json({"data": [ModelShown.of(model).model_dump(mode="json") for model in models]})
        return
    print_table(
        ["id", "name", "state", "usual price", "usual time", "replacement"],
        [
            [
                model.id,
                model.name,
                model.state.value,
                f"${dollars(model.usual_price_micros)}",
                f"{model.poll.usual_s:g} s",
                model.replacement or "-",
            ]
            for model in models
        ],
    )
    click.echo("What one takes and costs: breakwater model show ID")


@command.command()
@click.argument("model_id")
@json_option
def show(model_id: str, as_json: bool) -> None:
    """Show what MODEL_ID takes, costs, and how it is looked at."""
    try:
        model = _catalogue().get(model_id)
    except NotFound as error:
        raise click.ClickException(str(error)) from None
    shown: dict[str, Any] = ModelShown.of(model).model_dump(mode="json")
    if as_json:
        print_json(shown)
        return
    required = model.inputs.get("required", ())
    inputs = [f"{name} (required)" if name in required else name for name in model.inputs.get("properties", {})]
    poll = shown["poll"]
    rows = {name: shown[name] for name in ("id", "name", "type", "description", "state", "deprecated_at", "sunset_at")}
    rows |= {
        "replacement": shown["replacement"],
        "inputs": ", ".join(inputs),
        "price": f"${shown['price']['usual_usd']}: {shown['price']['formula']}",
        "first look": f"after {poll['usual_s']:g} s, then every {poll['step_s']:g} to {poll['max_step_s']:g} s",
        "deadline": f"{poll['deadline_s']:g} s",
    }
    print_table(["field", "value"], [[name, str(value or "-")] for name, value in rows.items()])
    click.echo(f"Its inputs as JSON schema: breakwater model show {model.id} --json")


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def check(file: Path, as_json: bool) -> None:
    """Check whether FILE can be used as BREAKWATER_MODELS_FILE, and say what it would change."""
    built_in = read_catalogue()
    try:
        text = file.read_text("utf-8")
        if not text.strip():
            raise BadCatalogue('it is empty; a model is a table [models."vendor/name"]')
        catalogue = read_catalogue(text)
    except (OSError, UnicodeDecodeError, BadCatalogue) as error:
        raise click.ClickException(f"{file}: {error}") from None
    changes = [
        {
            "id": model.id,
            "change": "replaces a built-in model" if model.id in built_in.models else "new",
            "state": model.state.value,
            "usual_usd": dollars(model.usual_price_micros),
        }
        for model in map(catalogue.get, tomllib.loads(text)["models"])
    ]
    if as_json:
        print_json({"ok": True, "models": changes})
        return
    print_table(["id", "change", "state", "usual price in dollars"], [list(one.values()) for one in changes])
    click.echo(f"{file} can be used. Next: set BREAKWATER_MODELS_FILE to it and restart gateways and workers.")
