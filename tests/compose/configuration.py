"""The files that docker-compose.yml mounts: where they are, and how they are read and judged."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.image.containers import ROOT

DEPLOY: Final = ROOT / "deploy"
RULES: Final = DEPLOY / "helm" / "breakwater" / "rules"
DASHBOARDS: Final = DEPLOY / "helm" / "breakwater" / "dashboards"


def judge(*command: str | Path) -> str:
    """Run a tool that must be content; returns what it says."""
    assert shutil.which(command[0]), f"{command[0]} is not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_yaml(path: Path) -> Any:
    """What a file says."""
    return yaml.safe_load(path.read_text())
