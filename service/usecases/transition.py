"""Write what happened to a prediction: the one way its state changes, whoever saw it happen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from service.domain.predictions import Change, Prediction
from service.domain.representations import event_body, wavespeed_callback_body
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.stores.work_schedule import WorkSchedule

_TRIES: Final = 5
"""How often a change is computed again after another writer was first; two writers meet once, five do not."""

log = structlog.get_logger()

Decide = Callable[[Prediction, int], Change | None]
"""From a prediction as it stands, and now in ms, to the change to write; None changes nothing."""


@dataclass(frozen=True, slots=True)
class Transition:
    """Compute a change from the newest record, write it with all it brings along, wake who must act on it."""

    predictions: PredictionStore
    schedule: WorkSchedule
    metrics: Metrics
    base_url: str
    clock: Callable[[], float]

    async def __call__(self, seen: Prediction, decide: Decide, next_look_s: float | None = None) -> Prediction:
        """Return the prediction as it stands afterwards.

        `next_look_s` is when to look again if the change is not an end; an end is never looked at again. A change that
        is not legal any more, or says nothing new, writes nothing. Raises `StoreUnavailable`.
        """
        before: Prediction | None = seen
        for _ in range(_TRIES):
            if before is None:
                return seen
            now_ms = int(self.clock() * 1000)
            change = decide(before, now_ms)
            if change is None:
                self.metrics.transitions.labels("ignored").inc()
                return before
            after = change.after
            moved = await self.predictions.move(
                before,
                change,
                next_look_s=None if after.state.ended else next_look_s,
                event_body=event_body(change.event, after, self.base_url, now_ms) if change.event else b"",
                callback_body=self._callback_body(after),
            )
            self.metrics.transitions.labels(moved.outcome).inc()
            if moved.outcome == "moved":
                self._tell(after, moved.deliveries, next_look_s)
                return after
            if moved.outcome == "claimed":
                log.error("upstream task already belongs to another prediction", prediction=before.id)
                return before
            before = await self.predictions.load(seen.id)
        return before or seen

    def _callback_body(self, after: Prediction) -> bytes:
        """What the callback of the request itself gets: nothing until the end."""
        if not after.callback_url or not after.state.ended:
            return b""
        return wavespeed_callback_body(after, self.base_url)

    def _tell(self, after: Prediction, deliveries: int, next_look_s: float | None) -> None:
        """Log and count the move; wake whoever has something to do now."""
        log.info(
            "prediction moved",
            prediction=after.id,
            tenant=after.tenant,
            model=after.model,
            state=after.state.value,
            deliveries=deliveries,
            request_id=after.request_id,
        )
        if after.state.ended:
            self.metrics.predictions_ended.labels(after.tenant, after.model, after.state.value).inc()
        elif next_look_s is not None:
            self.schedule.wake("poll", next_look_s)
        if deliveries:
            self.schedule.wake("deliver", 0.0)
