import pytest

from tests.waiting import wait_until


async def test_returns_what_the_condition_came_to() -> None:
    """A condition may be sync or async; its first true value is returned."""
    values = iter([0, None, 7])

    async def later() -> str:
        return "now"

    assert await wait_until(lambda: next(values)) == 7
    assert await wait_until(later) == "now"


async def test_names_what_never_came() -> None:
    """A wait in vain fails the test and names what it was for."""
    with pytest.raises(AssertionError, match="in vain for the moon; last seen: 0"):
        await wait_until(lambda: 0, timeout_s=0.0, what="the moon")
