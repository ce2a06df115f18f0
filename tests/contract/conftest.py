"""A whole system with every face open: operators', WaveSpeed's callbacks, two tenants."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.conftest import receiver
from tests.journeys.system import System

__all__ = ["receiver"]

ADMIN_TOKEN = "an-operators-token-of-the-tests"
SIGNING_KEY = "signs-our-ids-in-urls"


@pytest.fixture
async def system(tmp_path: Path, redis_url: str) -> AsyncIterator[System]:
    """With nothing started yet; requests are held for a moment only."""
    settings = {
        "BREAKWATER_ADMIN_TOKEN": ADMIN_TOKEN,
        "BREAKWATER_SIGNING_KEY": SIGNING_KEY,
        "BREAKWATER_MAX_WAIT_S": "0.5",
    }
    async with System(tmp_path, redis_url, **settings) as system:
        yield system
