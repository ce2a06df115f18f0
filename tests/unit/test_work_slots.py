"""Wake-up slots: never now, never early, hardly late."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.stores.work_schedule import SLOT_MS, slot_after

times_ms = st.floats(min_value=0, max_value=4e12) | st.integers(min_value=0, max_value=4 * 10**12)


@settings(max_examples=100, deadline=None)
@given(times_ms, times_ms)
@example(1_700_000_000_000, 1_700_000_000_000)
@example(1_700_000_000_249.999, 1_700_000_000_250)
@example(0, 1_700_000_000_000)
def test_a_slot_begins_strictly_in_the_future(due_ms: float, now_ms: float) -> None:
    """The slot begins after now, since its id may be taken by a job that runs now, and after the due time."""
    begins_ms = slot_after(due_ms, now_ms) * SLOT_MS
    assert begins_ms > now_ms
    assert begins_ms > due_ms


@settings(max_examples=50, deadline=None)
@given(times_ms, times_ms)
def test_a_slot_is_the_first_of_its_kind(due_ms: float, now_ms: float) -> None:
    """What is due is noticed at most one slot late, and what is overdue in the very next slot."""
    assert slot_after(due_ms, now_ms) * SLOT_MS - max(due_ms, now_ms) <= SLOT_MS


@settings(max_examples=50, deadline=None)
@given(times_ms, times_ms, times_ms)
def test_later_work_never_gets_an_earlier_slot(due_ms: float, other_ms: float, now_ms: float) -> None:
    """Slots keep the order of due times."""
    sooner_ms, later_ms = sorted((due_ms, other_ms))
    assert slot_after(sooner_ms, now_ms) <= slot_after(later_ms, now_ms)


def test_work_due_together_shares_a_slot() -> None:
    """Everything that falls due within one 250 ms slot is one wake-up."""
    slots = {slot_after(1_700_000_000_000 + ms, 0) for ms in range(SLOT_MS)}
    assert len(slots) == 1
    assert slot_after(1_700_000_000_250, 0) == slots.pop() + 1
