"""What is watched, and by which queries: the rules, the dashboards and the runbooks, read as they are in the tree."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic_core import from_json

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
CHART: Final = DEPLOY / "helm" / "breakwater"
RULES: Final = CHART / "rules" / "breakwater.yaml"
DASHBOARDS: Final = ("overview", "tenants", "upstream", "webhooks", "internals")
RUNBOOKS: Final = Path(__file__).parents[1] / "docs" / "runbooks.md"

_VARIABLES: Final = {"$tenant": ".*", "$__rate_interval": "1m", "$__range": "1h", "$__interval": "30s"}
"""What Grafana puts in place of variables, as it might."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the file: an alert, or a recording rule."""

    alert: str
    record: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a panel. `instant` when it is asked for one moment and not for a span of time."""

    dashboard: str
    panel: str
    expr: str
    instant: bool

    def with_variables(self) -> str:
        """The query as Grafana sends it."""
        expr = self.expr
        for name, value in _VARIABLES.items():
            expr = expr.replace(name, value)
        return expr


def rules() -> list[Rule]:
    """Every rule, in the order of the file."""
    read = yaml.safe_load(RULES.read_text())
    return [
        Rule(
            rule.get("alert", ""),
            rule.get("record", ""),
            rule["expr"],
            rule.get("labels", {}),
            rule.get("annotations", {}),
        )
        for group in read["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    """The alerts among them."""
    return [rule for rule in rules() if rule.alert]


def dashboard(name: str) -> dict[str, Any]:
    """One dashboard."""
    read: dict[str, Any] = from_json((CHART / "dashboards" / f"{name}.json").read_bytes())
    return read


def panels(name: str) -> list[dict[str, Any]]:
    """The panels of one dashboard; rows are none."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def asked() -> Iterator[Asked]:
    """Every query of every panel."""
    for name in DASHBOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                yield Asked(name, panel["title"], target["expr"], target["instant"])


def runbook_sections() -> dict[str, str]:
    """The sections of the runbooks that are about an alert, by its name."""
    parts = re.split(r"^### (\w+)$", RUNBOOKS.read_text(), flags=re.MULTILINE)[1:]
    return {name: text.split("\n## ")[0] for name, text in zip(parts[::2], parts[1::2], strict=True)}


def runbook_queries() -> list[str]:
    """The queries the runbooks name."""
    return re.findall(r"```promql\n(.*?)```", RUNBOOKS.read_text(), flags=re.DOTALL)
