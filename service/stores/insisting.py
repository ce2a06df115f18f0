"""Try again while Redis is away: for what is known nowhere else, and may be asked for twice."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from service.domain.errors import StoreUnavailable

RESTART_S: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 10.0, 10.0)
"""Waits between the tries, in seconds: longer in all than a Redis restart takes."""

HICCUP_S: Final = (0.1, 0.3, 1.0, 3.0)
"""The same for what nobody can wait for that long."""

T = TypeVar("T")


async def insist(ask: Callable[[], Awaitable[T]], delays_s: Sequence[float] = RESTART_S) -> T:
    """Ask until there is an answer. Raises `StoreUnavailable` when there is none after all these waits."""
    for delay_s in delays_s:
        try:
            return await ask()
        except StoreUnavailable:
            await asyncio.sleep(delay_s)
    return await ask()
