"""What a submission costs, from its model's formula and its inputs. Pure; integer micro-dollars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from service.domain.errors import FieldError, InvalidInput
from service.domain.money import dollars, micros

MAX_SECONDS: Final = 3_600
"""Longest video a price is computed for."""


@dataclass(frozen=True, slots=True)
class Price:
    """`run_usd` for each run, plus `second_usd` times the seconds, times the factor of the size asked for.

    `seconds_input` and `size_input` name the inputs that decide; inputs left out count as `default_s` and
    `default_size`, which is of factor 1 unless it is named.
    """

    run_usd: Decimal = Decimal(0)
    second_usd: Decimal = Decimal(0)
    seconds_input: str = "duration"
    default_s: int = 0
    size_input: str = "size"
    size_factors: Mapping[str, Decimal] = field(default_factory=dict)
    default_size: str = ""

    @property
    def formula(self) -> str:
        """The formula in dollars, for people: "0.10 * duration (4 if left out)"."""
        parts = [dollars(micros(self.run_usd))] if self.run_usd or not self.second_usd else []
        if self.second_usd:
            per_second = f"{dollars(micros(self.second_usd))} * {self.seconds_input} ({self.default_s} if left out)"
            factors = ", ".join(f"{factor.normalize():f} for {size}" for size, factor in self.size_factors.items())
            parts.append(per_second + (f" * factor of {self.size_input} ({factors})" if factors else ""))
        return " + ".join(parts)

    def micros_of(self, inputs: Mapping[str, Any]) -> int:
        """The price of these inputs. Raises `InvalidInput` naming an input no price can be computed from."""
        usd = self.run_usd
        if self.second_usd:
            usd += self.second_usd * self._seconds(inputs) * self._factor(inputs)
        return micros(usd)

    def _seconds(self, inputs: Mapping[str, Any]) -> int:
        """The length asked for; whole numbers also as text, as some clients send them."""
        asked = inputs.get(self.seconds_input)
        if asked is None:
            return self.default_s
        text = str(asked) if isinstance(asked, int | str) and not isinstance(asked, bool) else ""
        if isinstance(asked, float) and asked.is_integer():
            text = str(int(asked))
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_SECONDS):
            told = f"must be a whole number of seconds from 1 to {MAX_SECONDS}: it decides the price"
            raise InvalidInput([FieldError(self.seconds_input, told)])
        return int(text)

    def _factor(self, inputs: Mapping[str, Any]) -> Decimal:
        """What the size asked for multiplies the price by."""
        asked = inputs.get(self.size_input)
        if asked is None:
            asked = self.default_size or None
        if asked is None or not self.size_factors:
            return Decimal(1)
        if not isinstance(asked, str) or asked not in self.size_factors:
            told = f"must be one of {', '.join(self.size_factors)}: it decides the price"
            raise InvalidInput([FieldError(self.size_input, told)])
        return self.size_factors[asked]
