"""Write what happened to a prediction: the one way its state changes, whoever saw it happen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from service.domain.moves import dispossessed
from service.domain.predictions import Change, Evidence, Prediction
from service.domain.representations import event_body, wavespeed_callback_body
from service.domain.timetable import Timetable
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
    timetable: Timetable
    metrics: Metrics
    base_url: str
    clock: Callable[[], float]

    async def __call__(self, seen: Prediction, decide: Decide, next_look_s: float = 0.0) -> Prediction:
        """Return the prediction as it stands afterwards.

        `next_look_s` is when to look again while something is still to be found out. A change that is not legal any
        more, or says nothing new, writes nothing. Raises `StoreUnavailable`.
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
                next_look_s=next_look_s if after.watched else None,
                stuck_after_s=self.timetable.stuck_after_s(after),
                next_retention_s=self.timetable.next_retention_s(after, now_ms),
                event_body=event_body(change.event, after, self.base_url, now_ms) if change.event else b"",
                callback_body=self._callback_body(before, after),
            )
            self.metrics.transitions.labels(moved.outcome).inc()
            if moved.outcome == "moved":
                self._tell(before, after, moved.deliveries, next_look_s)
                if moved.waiting and (before.watched, before.state) != (after.watched, after.state):
                    self.schedule.wake("submit", 0.0)  # there may be a place for the next
                return after
            if moved.outcome == "claimed" and not await self._free(moved.owner, after.evidence):
                log.error("upstream task already belongs to another prediction", prediction=before.id)
                return before
            before = await self.predictions.load(seen.id)
        return before or seen

    async def _free(self, owner_id: str, evidence: Evidence) -> bool:
        """Take an upstream task from a prediction that has it on weaker evidence; whether it is free now."""
        owner = await self.predictions.load(owner_id)
        if owner is None:
            return False
        after = await self(owner, lambda p, _: dispossessed(p, evidence))
        if after.upstream_id:
            return False
        log.warning("upstream task taken from a prediction that was found in the list", prediction=owner_id)
        return True

    def _callback_body(self, before: Prediction, after: Prediction) -> bytes:
        """What the callback of the request itself gets: nothing but the end."""
        if not after.callback_url or not after.state.ended or before.state.ended:
            return b""
        return wavespeed_callback_body(after, self.base_url)

    def _tell(self, before: Prediction, after: Prediction, deliveries: int, next_look_s: float) -> None:
        """Log and count the move; wake whoever has something to do now."""
        log.info(
            "prediction moved",
            prediction=after.id,
            tenant=after.tenant,
            model=after.model,
            state=after.state.value,
            deliveries=deliveries,
            request_id=after.request_id,
            **({"closed": after.closed} if after.closed else {}),
        )
        if after.state.ended and not before.state.ended:
            model = self.timetable.catalogue.label(after.model)
            self.metrics.predictions_ended.labels(after.tenant, model, after.state.value).inc()
        if after.closed and not before.closed:
            self.metrics.closed.labels(after.closed).inc()
        if after.watched:
            self.schedule.wake("poll", next_look_s)
        if deliveries:
            self.schedule.wake("deliver", 0.0)
