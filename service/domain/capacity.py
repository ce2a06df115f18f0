"""What the account upstream allows: submissions a minute, by class of models, and tasks at once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, get_args

from service.domain.errors import BreakwaterError

ModelClass = Literal["video", "image"]
CLASSES: Final[tuple[ModelClass, ...]] = get_args(ModelClass)
"""The classes the upstream counts apart."""

MAX_LIMIT: Final = 1_000_000
"""Largest limit that can be set."""


class BadCapacity(BreakwaterError):
    """A text is no number of submissions a minute."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The account's limits as configured; what is not there is not limited."""

    concurrency: int | None = None
    per_minute: Mapping[ModelClass, int] = field(default_factory=dict)


TIERS: Final[Mapping[str, Capacity]] = MappingProxyType(
    {
        "bronze": Capacity(2, {"video": 2, "image": 2}),
        "silver": Capacity(300, {"video": 500, "image": 500}),
        "gold": Capacity(3_000, {"video": 3_000, "image": 3_000}),
        "ultra": Capacity(10_000, {"video": 5_000, "image": 5_000}),
    }
)
"""WaveSpeed's account levels (its page "Account levels")."""


def class_of(model_type: str) -> ModelClass:
    """The class a type of models (`text-to-video`) counts in: what does not make images counts as video."""
    return "image" if model_type.endswith("image") else "video"


def read_per_minute(text: str) -> dict[ModelClass, int]:
    """Read `60`, for every class, or `video=60,image=120`. Raises `BadCapacity`."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 and "=" not in text:
        return dict.fromkeys(CLASSES, _number(text.strip()))
    found: dict[ModelClass, int] = {}
    for part in parts:
        name, _, number = part.partition("=")
        known = next((one for one in CLASSES if one == name.strip()), None)
        if known is None or known in found:
            raise BadCapacity(f"must be a number, or numbers for {' and '.join(CLASSES)}: video=60,image=120")
        found[known] = _number(number.strip())
    return found


def _number(text: str) -> int:
    """A limit. Raises `BadCapacity`."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise BadCapacity(f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """One limit of the account: as configured and as it is now (None: no limit), and how much of it is used."""

    name: str
    configured: int | None
    now: int | None
    used: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """Where the account stands. Times in unix ms, 0 for none; `balance_micros` None while nobody has read it."""

    limits: tuple[LimitInForce, ...]
    waiting: int
    oldest_waiting_ms: int
    waiting_by_tenant: Mapping[str, int]
    paused_by: Literal["", "operator", "account"] = ""
    paused_at_ms: int = 0
    paused_why: str = ""
    paused_price_micros: int = 0
    blocked_until_ms: int = 0
    balance_micros: int | None = None
    balance_at_ms: int = 0
    balance_low: bool = False


@dataclass(frozen=True, slots=True)
class Prospects:
    """What decides when what waits is sent: the limits in force, whether nothing is sent, or not for `blocked_ms`."""

    capacity: Capacity
    paused: bool
    blocked_ms: int


def starts_in_s(before: int, capacity: Capacity, model_class: ModelClass, run_s: float) -> float:
    """About when a submission starts that has so many `before` it, in seconds, if runs take `run_s` each.

    A guess: nobody knows how long the runs of others take, nor who cancels.
    """
    waits = [0.0]
    if model_class in capacity.per_minute:
        waits.append((before + 1) / capacity.per_minute[model_class] * 60)
    if capacity.concurrency is not None:
        waits.append((before + 1) / capacity.concurrency * run_s)
    return max(waits)
