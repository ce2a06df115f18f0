"""What chaos needs: how much of it, and a seed to repeat it with."""

import os
import random

import pytest

from tests.journeys.conftest import receiver, system

__all__ = ["receiver", "system"]

PREDICTIONS = int(os.environ.get("CHAOS_PREDICTIONS", "10000"))
"""How many predictions a run is made of."""


@pytest.fixture
def chance() -> random.Random:
    """The run's randomness; the seed is printed, and CHAOS_SEED repeats it."""
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"CHAOS_SEED={seed}")  # noqa: T201
    return random.Random(seed)  # noqa: S311
