"""The image, built once for all that is asked of it."""

import subprocess

import pytest

from tests.image.containers import IMAGE, ROOT


@pytest.fixture(scope="session")
def image() -> str:
    """Build the image for real, and tell its name."""
    subprocess.run([ROOT / "tests" / "image" / "build"], check=True)
    return IMAGE
