"""Money as integer micro-dollars: exact, summable in Redis, never a float."""

from decimal import ROUND_HALF_EVEN, Decimal

MICROS_PER_DOLLAR = 1_000_000


def micros(dollars: str | Decimal) -> int:
    """Turn an amount such as "0.10" into micro-dollars, rounding half to even below a micro-dollar."""
    return int((Decimal(dollars) * MICROS_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))


def dollars(amount_micros: int) -> str:
    """Write micro-dollars as dollars with at least two decimals: 400000 → "0.40", 1250 → "0.00125"."""
    exact = Decimal(amount_micros) / MICROS_PER_DOLLAR
    text = f"{exact:.6f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
