"""The rules by Prometheus' own tool: well formed, and each alert shown to fire and, close by, not to."""

import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.observability.prometheus import tool
from tests.watched import RULES, alerts

CASES: Final = sorted((Path(__file__).parent / "alerts").glob("*.yml"))


def promtool(*arguments: str) -> str:
    """What it says; it must be content."""
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, timeout=50, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def cases() -> list[dict[str, Any]]:
    """What is expected of alerts, over all files."""
    read = [yaml.safe_load(path.read_text()) for path in CASES]
    return [case for one in read for test in one["tests"] for case in test.get("alert_rule_test", ())]


def test_the_rules_are_well_formed() -> None:
    """`promtool check rules` with every lint there is has nothing to say."""
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path: Path) -> None:
    """`promtool test rules`: labels and annotations of what fires are as written down, and nothing else fires."""
    assert "SUCCESS" in promtool("test", "rules", str(path))


@pytest.mark.parametrize("name", [rule.alert for rule in alerts()])
def test_no_alert_is_left_untried(name: str) -> None:
    """Each has a case in which it fires and one in which it does not."""
    expected = [bool(case["exp_alerts"]) for case in cases() if case["alertname"] == name]
    assert set(expected) == {True, False}


def test_every_case_is_of_an_alert_there_is() -> None:
    """A name that is none would never fire, and so never fail."""
    assert {case["alertname"] for case in cases()} == {rule.alert for rule in alerts()}
