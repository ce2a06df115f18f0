"""The whole stack, brought up once for all that is asked of it."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack
from tests.image.containers import ROOT


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything of docker-compose.yml that can be had here, running and healthy."""
    subprocess.run([ROOT / "tests" / "compose" / "build"], check=True)
    with Stack(tmp_path_factory.mktemp("compose")).up() as stack:
        yield stack
