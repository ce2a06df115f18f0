"""Strict judges have nothing to say of the Dockerfile; needs the environment of lint.lock in `.venv/lint`."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.image.containers import ROOT

TOOLS = Path(__file__).parent / ".venv" / "lint" / "bin"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def test_hadolint_has_nothing_to_say() -> None:
    """Not a hint of style either, and no rule is switched off."""
    assert (TOOLS / "hadolint").exists(), "install tests/image/lint.lock"
    told = subprocess.run(
        [TOOLS / "hadolint", "--failure-threshold", "style", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert told.stdout + told.stderr == ""
    assert told.returncode == 0
    assert "hadolint ignore" not in DOCKERFILE.read_text()


def test_checkov_finds_nothing_but_what_is_explained() -> None:
    """No failed check; the two that are skipped have their reason beside them in the file."""
    assert (TOOLS / "checkov").exists(), "install tests/image/lint.lock"
    told = subprocess.run(
        [TOOLS / "checkov", "--skip-download", "--framework", "dockerfile", "--output", "json", "-f", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    assert [check["check_id"] for check in found["results"]["failed_checks"]] == []
    assert told.returncode == 0, told.stderr
    assert found["summary"]["passed"] > 50
    skipped = {
        check["check_id"]: check["check_result"]["suppress_comment"] for check in found["results"]["skipped_checks"]
    }
    assert set(skipped) == {"CKV_DOCKER_2", "CKV_DOCKER_7"}
    assert all(len(reason) > 20 for reason in skipped.values())


def test_every_stage_starts_from_one_pinned_base() -> None:
    """A registry, a version and a release are named; nothing floats on `latest` or on a short name."""
    text = DOCKERFILE.read_text()
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.M)
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-[a-z]+", base)
    assert {line.split()[1] for line in text.splitlines() if line.startswith("FROM ")} == {"${PYTHON_IMAGE}"}
