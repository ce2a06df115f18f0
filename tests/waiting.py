"""Wait for a condition, never for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def wait_until(condition: Callable[[], Awaitable[T]], timeout_s: float = 30.0, what: str = ...) -> T: ...
@overload
async def wait_until(condition: Callable[[], T], timeout_s: float = 30.0, what: str = ...) -> T: ...
async def wait_until(condition: Callable[[], Any], timeout_s: float = 30.0, what: str = "the condition") -> Any:
    """Ask `condition` every 10 ms until what it returns (or awaits to) is true, and return that.

    Fails the test after `timeout_s`, naming `what` was waited for and the last value seen.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() >= deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}; last seen: {value!r}")
        await asyncio.sleep(0.01)
