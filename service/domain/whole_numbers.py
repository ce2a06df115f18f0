"""Whole numbers as JSON knows them: 5.0 is one, whatever a language makes of it."""

from typing import Any, Final

from pydantic import BeforeValidator


def _whole(value: Any) -> Any:
    """The integer that a float without a fraction is; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""Stands last in what annotates an integer: strict models then take 5.0 as well, but neither 5.5 nor "5"."""
