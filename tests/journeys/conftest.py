"""A system for each journey, and a receiver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.system import Receiver, System


@pytest.fixture
async def system(tmp_path: Path, redis_url: str) -> AsyncIterator[System]:
    """A system with nothing started yet."""
    async with System(tmp_path, redis_url) as system:
        yield system


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running callback receiver that accepts everything."""
    async with Receiver().running() as receiver:
        yield receiver
