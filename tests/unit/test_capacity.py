"""What the account allows: levels, numbers, classes, and guesses about when something starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.capacity import TIERS, BadCapacity, Capacity, class_of, read_per_minute, starts_in_s
from service.settings import Settings


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("60", {"video": 60, "image": 60}),
        (" 60 ", {"video": 60, "image": 60}),
        ("video=5,image=7", {"video": 5, "image": 7}),
        ("image = 7", {"image": 7}),
        ("video=1000000", {"video": 1_000_000}),
    ],
)
def test_submissions_a_minute(text: str, limits: dict[str, int]) -> None:
    """One number for every class, or one for each; a class that is not named is not limited."""
    assert read_per_minute(text) == limits


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "many", "video", "video=", "audio=5", "video=5,video=6", "1000001", "5,6", "video=0"]
)
def test_what_is_no_limit(text: str) -> None:
    """It is refused with what would do."""
    with pytest.raises(BadCapacity, match="must be"):
        read_per_minute(text)


@pytest.mark.parametrize(
    ("kind", "counts_as"),
    [
        ("text-to-image", "image"),
        ("image-to-image", "image"),
        ("text-to-video", "video"),
        ("image-to-video", "video"),
        ("text-to-audio", "video"),
        ("", "video"),
    ],
)
def test_classes(kind: str, counts_as: str) -> None:
    """What makes images counts as image, everything else as video."""
    assert class_of(kind) == counts_as


def test_levels_and_numbers() -> None:
    """A level says everything; numbers that are set beside it win, one by one; without either there is no limit."""
    assert Settings(upstream_tier="bronze").capacity == Capacity(2, {"video": 2, "image": 2}) == TIERS["bronze"]
    assert Settings(upstream_tier="gold", upstream_concurrency=5).capacity == Capacity(5, TIERS["gold"].per_minute)
    assert Settings(upstream_tier="gold", upstream_per_minute="7").capacity.per_minute == {"video": 7, "image": 7}
    assert Settings().capacity == Capacity()


@given(st.integers(0, 1_000), st.integers(1, 100), st.integers(1, 100), st.floats(1, 600))
def test_who_is_further_behind_starts_no_sooner(before: int, slots: int, per_minute: int, run_s: float) -> None:
    """A guess is never negative, never sooner than that of the one before, nor than either limit alone allows."""
    both = Capacity(slots, {"video": per_minute})
    guess = starts_in_s(before, both, "video", run_s)
    assert 0 <= guess <= starts_in_s(before + 1, both, "video", run_s)
    assert guess >= starts_in_s(before, Capacity(slots), "video", run_s)
    assert guess >= starts_in_s(before, Capacity(None, {"video": per_minute}), "video", run_s)
    assert starts_in_s(before, Capacity(), "video", run_s) == 0
