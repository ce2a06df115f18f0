"""Temporary stand-in."""


def parse_retry_after(v: str, now_s: float) -> float | None:
    return float(v)
