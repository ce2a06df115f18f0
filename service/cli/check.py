"""`breakwater check`: the configuration doctor."""

import asyncio
import os

import click

from service.checks.examine import examine
from service.checks.findings import Finding, Report
from service.checks.promises import Level
from service.cli.operator import json_option, print_json
from service.logs import configure_logging

_COLOURS = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command()
@click.option("--strict", is_flag=True, help="Warnings fail as well.")
@json_option
def command(strict: bool, as_json: bool) -> None:
    """Check the configuration that serve and worker would have here: reads only, changes nothing, submits nothing.

    Needs the same environment as they. Exit code 0: nothing must be mended; 1: something must, or with --strict should.
    """
    configure_logging("error", "cli")
    report = asyncio.run(examine(os.environ))
    if as_json:
        print_json(report.shown(strict=strict))
    else:
        _print(report, strict=strict)
    if not report.passes(strict=strict):
        raise SystemExit(1)


def _print(report: Report, *, strict: bool) -> None:
    """Print a line for each finding, and what comes next."""
    click.echo("Reads only: nothing is changed, submitted or paid.\n")
    width = max(len(finding.check) for finding in report.findings)
    for finding in report.findings:
        click.echo(_line(finding, width))
    problems, warnings = report.count(Level.PROBLEM), report.count(Level.WARNING)
    click.echo(f"\n{problems} problems, {warnings} warnings.")
    if not report.passes(strict=strict):
        click.echo("Next: mend what is named above, and run this again. docs/check.md explains each finding.")
    elif warnings:
        click.echo("Next: read the warnings; then breakwater serve and breakwater worker.")
    else:
        click.echo("Next: breakwater serve and breakwater worker.")


def _line(finding: Finding, width: int) -> str:
    """One finding as a line for people."""
    remedy = f". To do: {finding.remedy}" if finding.remedy else ""
    level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    return f"{level} {finding.check:<{width}}  {finding.found}{remedy}".replace("`", "")
