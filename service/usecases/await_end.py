"""Wait for a prediction's end, for a caller who would rather wait than ask again and again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.domain.errors import Overloaded, StoreUnavailable, TooManyOpen
from service.domain.predictions import Prediction
from service.stores.event_feed import EventFeed, Listener
from service.stores.prediction_store import PredictionStore

_LOOK_AGAIN_S: Final = 2.0
"""Until the next look when Redis gave no answer."""


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """The use case. `monotonic` gives seconds."""

    feed: EventFeed
    predictions: PredictionStore
    monotonic: Callable[[], float] = time.monotonic

    async def __call__(
        self, seen: Prediction, within_s: float, on_listening: Callable[[Listener], None] = lambda _: None
    ) -> Prediction:
        """The prediction as soon as it has ended, or as it stands when the time is over.

        `on_listening` is given the listener, whose `end` ends the wait: a caller who hangs up waits no longer. With as
        many waits open as there may be nobody waits. While Redis is away the last known state is what there is. One
        that is deleted meanwhile raises `NotFound`.
        """
        try:
            with self.feed.listening(seen.id, seen.tenant) as listener:
                on_listening(listener)
                return await self._ended(seen, listener, self.monotonic() + within_s)
        except (TooManyOpen, Overloaded):
            return seen

    async def _ended(self, known: Prediction, listener: Listener, until_s: float) -> Prediction:
        """Look, and look again at all news."""
        while True:
            pause_s = until_s - self.monotonic()
            try:
                known = await self.predictions.load_for(known.id, known.tenant)
            except StoreUnavailable:
                pause_s = min(pause_s, _LOOK_AGAIN_S)
            if known.state.ended or listener.over or until_s <= self.monotonic():
                return known
            await listener.wait(max(0.0, pause_s))
