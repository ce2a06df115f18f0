"""The command line. Each command lives in its own module, imported only when it is used, so that `--help` is quick."""

import importlib
from importlib.metadata import version
from typing import Final

import click

_COMMANDS: Final = {
    # name: (module, what `--help` says of it)
    "serve": ("serve", "Run the gateway, configured by the environment."),
    "worker": ("worker", "Run a worker, configured by the environment."),
    "check": ("check", "Check the configuration of this machine: Redis, WaveSpeed, keys, addresses."),
    "dev": ("dev", "Run everything on this machine and watch one video go through."),
    "simulate": ("simulate", "Run the WaveSpeed simulator alone."),
    "listen": ("listen", "Receive callbacks locally, verify and print them."),
    "tenant": ("tenant", "Create tenants, set their limits, see what they used."),
    "key": ("key", "Issue, list and revoke API keys."),
    "model": ("model", "See the catalogue, and check a file of models."),
    "prediction": ("prediction", "See, cancel and audit predictions."),
    "endpoint": ("endpoint", "Register callback endpoints, and look after them."),
    "upstream": ("upstream", "See and pause the company's account."),
    "secrets": ("secrets", "Look after the encryption of stored secrets."),
    "delivery": ("delivery", "See what was sent to teams, and send it again."),
}


class _LazyGroup(click.Group):
    """A group that imports a command when it is asked for, and lists them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"service.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("breakwater"), prog_name="breakwater")
def main() -> None:
    """Breakwater: one WaveSpeed account, many internal teams.

    Configuration comes from the environment; the README lists every variable.
    """
