"""Rules, dashboards and runbooks ask for metrics there are, by labels they have, and belong together."""

import re
from typing import Any, Final

import click
import promql_parser
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from promql_parser import AggModifierType, AggregateExpr, MatchOp, VectorSelector

from service.cli import main
from service.metrics import Metrics
from service.metrics.declared import Declared, Values
from tests.watched import DASHBOARDS, alerts, asked, dashboard, panels, rules, runbook_queries, runbook_sections

OF_TARGETS: Final = {"job": Values(), "instance": Values()}
"""The labels Prometheus itself puts on every series."""

NOT_OURS: Final[dict[str, dict[str, Values]]] = {
    "up": {},
    "ALERTS": dict.fromkeys(("alertname", "alertstate", "severity"), Values()),
    "process_cpu_seconds_total": {},
    "process_resident_memory_bytes": {},
    "process_open_fds": {},
    "process_max_fds": {},
    "process_start_time_seconds": {},
}
"""Metrics of Prometheus and of its client library."""


def _series(declared: Declared) -> dict[str, dict[str, Values]]:
    """The series one metric has, with their labels."""
    if declared.kind != "histogram":
        return {declared.name: declared.labels}
    buckets = declared.metric._upper_bounds  # type: ignore[union-attr]
    bounds = Values(tuple(str(float(bound)) for bound in buckets))
    return {
        f"{declared.name}_bucket": {**declared.labels, "le": bounds},
        f"{declared.name}_sum": declared.labels,
        f"{declared.name}_count": declared.labels,
    }


def known() -> dict[str, dict[str, Values]]:
    """Every series a query may ask for: the catalogue's, the recording rules', and those of others."""
    found = dict(NOT_OURS)
    for declared in Metrics(CollectorRegistry(), "0").declared:
        found |= _series(declared)
    recorded = {rule.record for rule in rules() if rule.record}
    objectives = {"slo": Values(("availability", "latency", "notify", "ends")), "route_class": Values()}
    return found | dict.fromkeys(recorded, objectives)


KNOWN: Final = known()


def _queries() -> list[Any]:
    """Every query there is, and where it stands."""
    found = [
        pytest.param(rule.expr, id=f"rule {place} {rule.alert or rule.record}") for place, rule in enumerate(rules())
    ]
    found += [
        pytest.param(query.with_variables(), id=f"{query.dashboard}: {query.panel} {place}")
        for place, query in enumerate(asked())
    ]
    return found + [pytest.param(query, id=f"runbook {place}") for place, query in enumerate(runbook_queries())]


def _alternatives(op: MatchOp, value: str) -> list[str]:
    """The values a matcher is after: those of a regular expression without brackets are divided by bars."""
    return value.split("|") if op in (MatchOp.Re, MatchOp.NotRe) and "(" not in value else [value]


def _unknown_values(op: MatchOp, value: str, values: Values) -> list[str]:
    """What a matcher is after and never finds, in a label whose values are closed."""
    return [
        one
        for one in _alternatives(op, value)
        if values.allowed and not any(re.fullmatch(one, allowed) for allowed in values.allowed)
    ]


@pytest.mark.parametrize("query", _queries())
def test_a_query_asks_for_what_there_is(query: str) -> None:
    """Its series are in the catalogue, its matchers name labels they have and values these can have, and it groups by
    labels of what it asks for.
    """
    grouped: set[str] = set()
    labels: set[str] = set(OF_TARGETS)

    def look(expr: Any) -> None:
        if isinstance(expr, AggregateExpr) and expr.modifier and expr.modifier.type == AggModifierType.By:
            grouped.update(expr.modifier.labels)
        if isinstance(expr, VectorSelector):
            assert expr.name in KNOWN, f"no such metric: {expr.name}"
            has = KNOWN[expr.name] | OF_TARGETS
            labels.update(has)
            for matcher in expr.matchers.matchers:
                assert matcher.name in has, f"{expr.name} has no label {matcher.name}"
                unknown = _unknown_values(matcher.op, matcher.value, has[matcher.name])
                assert not unknown, f"{matcher.name} of {expr.name} is never {unknown}"

    promql_parser.walk(promql_parser.parse(query), look)
    assert grouped <= labels


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """The link of each leads to a section, which says what to do; no section is left over, nor doubled."""
    assert list(runbook_sections()) == list(dict.fromkeys(runbook_sections()))
    assert set(runbook_sections()) == {rule.alert for rule in alerts()}
    for rule in alerts():
        assert rule.annotations["runbook_url"] == f"docs/runbooks.md#{rule.alert.lower()}"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.alert)
def test_an_alert_says_all_that_is_needed(rule: Any) -> None:
    """A severity, which its runbook names too; a summary in one line; a description; a runbook that says how to see it
    and what to do.
    """
    assert rule.labels["severity"] in ("page", "ticket")
    assert set(rule.annotations) == {"summary", "description", "runbook_url"}
    assert 0 < len(rule.annotations["summary"]) <= 100
    section = runbook_sections()[rule.alert].strip()
    assert section.startswith(f"{rule.labels['severity'].capitalize()}. ")
    assert "```promql" in section or "as above" in section
    assert "Do:" in section or "Do, " in section or "as above" in section


def test_alerts_have_names_of_their_own() -> None:
    """One name, one alert; all of them say whose they are."""
    names = [rule.alert for rule in alerts()]
    assert len(names) == len(set(names)) > 30
    assert all(name.startswith("Breakwater") for name in names)


def _commands() -> list[str]:
    """The commands the runbooks name."""
    text = "".join(runbook_sections().values())
    return sorted(set(re.findall(r"`breakwater ([^`]+)`", text.replace("\n", " "))))


@pytest.mark.parametrize("command", _commands())
def test_a_runbook_s_command_exists(command: str) -> None:
    """The command line knows it, and each option it is shown with."""
    words = [word for word in re.sub(r'"[^"]*"', "TEXT", command).split() if not word.startswith("--")]
    group, name = words[0], words[1]
    shown = CliRunner().invoke(main, [group, name, "--help"])
    assert shown.exit_code == 0, shown.output
    for option in re.findall(r"--[a-z-]+", command):
        assert option in shown.output


def test_commands_are_found() -> None:
    """The runbooks name commands at all, of a command line that has groups."""
    assert isinstance(main, click.Group)
    assert len(_commands()) > 10


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    """Every panel has a title and a place of its own, a description and a unit, and asks the source that is chosen."""
    read, shown = dashboard(name), panels(name)
    assert read["uid"] == f"breakwater-{name}"
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert len({panel["id"] for panel in read["panels"]}) == len(read["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in read["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in shown:
        assert panel["title"]
        assert len(panel["description"]) > 15
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${DS}"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_leads_to_the_others(name: str) -> None:
    """By a link to all that carry the same tag, which keeps time and variables; its data source can be chosen."""
    read = dashboard(name)
    (link,) = read["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        read["tags"],
        True,
        True,
    )
    assert [one["type"] for one in read["templating"]["list"] if one["name"] == "DS"] == ["datasource"]
