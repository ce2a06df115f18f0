"""Money is exact: no amount changes by being written down, read back or added up."""

import re
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.money import MICROS_PER_DOLLAR, dollars, micros

amounts = st.integers(min_value=0, max_value=10**15)


@settings(max_examples=60, deadline=None)
@given(amounts)
@example(0)
@example(1)
@example(10**15)
def test_every_amount_survives_the_round_trip(amount_micros: int) -> None:
    """Written as dollars and read again, an amount is the same to the last micro-dollar."""
    assert micros(dollars(amount_micros)) == amount_micros
    assert micros(Decimal(dollars(amount_micros))) == amount_micros


@settings(max_examples=60, deadline=None)
@given(amounts)
def test_dollars_are_written_plainly(amount_micros: int) -> None:
    """Two decimals at least, six at most, no exponent, no trailing noise."""
    text = dollars(amount_micros)
    assert re.fullmatch(r"(0|[1-9]\d*)\.\d{2,6}", text)
    assert re.fullmatch(r".*\.(\d{2}|\d+[1-9])", text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=10**9), max_size=50))
def test_sums_are_exact(cents: list[int]) -> None:
    """Adding micro-dollars gives what adding the written amounts on paper gives."""
    written = [f"{amount // 100}.{amount % 100:02}" for amount in cents]
    assert sum(micros(amount) for amount in written) * 100 == sum(cents) * MICROS_PER_DOLLAR


def test_floating_point_never_creeps_in() -> None:
    """0.1 and 0.2 make 0.3, ten times, a million times."""
    assert micros("0.1") + micros("0.2") == micros("0.3")
    assert dollars(micros("0.1") * 1_000_000) == "100000.00"


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.40", 400_000),
        ("0.4", 400_000),
        ("250", 250_000_000),
        ("0.000001", 1),
        ("0", 0),
        ("999999.999999", 999_999_999_999),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("0.0000025", 2),
        ("0.00000251", 3),
    ],
)
def test_amounts_are_read_to_the_micro_dollar(amount: str, expected: int) -> None:
    """Below a micro-dollar halves go to the even neighbour, so that many roundings do not drift."""
    assert micros(amount) == expected


@pytest.mark.parametrize(
    ("amount_micros", "expected"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (1_250, "0.00125"),
        (400_000, "0.40"),
        (1_000_000, "1.00"),
        (100_000_000, "100.00"),
        (12_345_678, "12.345678"),
        (-400_000, "-0.40"),
    ],
)
def test_amounts_are_shown_with_cents(amount_micros: int, expected: str) -> None:
    """Cents always stand, and smaller parts only where there are any."""
    assert dollars(amount_micros) == expected
