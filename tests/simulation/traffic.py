"""What tenants do all day: random weights, bursts and trickles; and an upstream that takes less at times."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from service.domain.capacity import Capacity, ModelClass

TICK_MS: Final = 50
"""Everything happens at multiples of this."""

TENANTS: Final = tuple(f"t{n:02}" for n in range(50))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One submission to come."""

    at_ms: int
    tenant: str
    model_class: ModelClass


@dataclass(frozen=True, slots=True)
class Day:
    """One day before one account: how many submissions come and over how long, in minutes; how long a run takes.

    `images` is the share of images among them. In each of `rough` (from and to, in minutes) the upstream takes no more
    than so many tasks at once, or submissions a minute, whatever the account's level. `cancels` is the share that their
    tenants cancel at some time.
    """

    name: str
    capacity: Capacity
    submissions: int
    minutes: float
    run_s: tuple[float, float]
    images: float = 0.0
    rough: tuple[tuple[float, float, int | None, int | None], ...] = ()
    cancels: float = 0.0


DAYS: Final = (
    # Each class has a queue of its own, for its own starts.
    Day("limited a minute", Capacity(2_000, {"video": 700, "image": 500}), 30_000, 20, (5, 40), images=0.4),
    # Both classes are one queue, for the same slots.
    Day("limited at once", Capacity(120), 30_000, 16, (1, 7), images=0.4),
    Day("ups and downs", Capacity(150, {"video": 900}), 12_000, 16, (1, 7)),
    Day(
        "rough weather",
        Capacity(150, {"video": 1500}),
        30_000,
        20,
        (1, 7),
        rough=((3, 6, 70, None), (9, 11, None, 300), (14, 15, 20, 200)),
        cancels=0.03,
    ),
)


def weights_of(random: Random) -> dict[str, int]:
    """A weight for each tenant."""
    return {tenant: random.randint(1, 20) for tenant in TENANTS}


def arrivals_of(day: Day, weights: Mapping[str, int], random: Random) -> list[Arrival]:
    """All submissions of a day, by time: each tenant's in bursts at any time, and one by one in between.

    Most tenants want more than their share, by up to three times; some want little, and some only one class.
    """
    wishes = {tenant: weights[tenant] * random.choice((0.1, 0.5, 1, 1, 2, 3)) for tenant in weights}
    scale = day.submissions / sum(wishes.values())
    span_ms = int(day.minutes * 60_000)
    found: list[Arrival] = []
    for tenant, wish in wishes.items():
        images = random.choice((day.images, day.images, 0.0, 1.0)) if day.images else 0.0
        wanted = round(wish * scale)
        while wanted > 0:
            size = min(wanted, random.choice((1, 1, 1, 20, 300, 1000)))
            wanted -= size
            at_ms = int(random.random() ** 1.5 * span_ms)
            found += [Arrival(_tick(at_ms), tenant, _class(random, images)) for _ in range(size)]
    while len(found) < day.submissions:  # what rounding left out
        found.append(Arrival(_tick(random.randrange(span_ms)), random.choice(TENANTS), _class(random, day.images)))
    return sorted(found, key=lambda one: one.at_ms)[: day.submissions]


def _class(random: Random, images: float) -> ModelClass:
    return "image" if random.random() < images else "video"


def _tick(at_ms: float) -> int:
    """The next moment at which something can happen."""
    return -(-int(at_ms) // TICK_MS) * TICK_MS


def later(random: Random, shortest_s: float, longest_s: float) -> int:
    """Some time, in ms."""
    return _tick(random.uniform(shortest_s, longest_s) * 1000)
