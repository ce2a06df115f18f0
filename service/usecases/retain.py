"""Look after an ended prediction: tell when its outputs are about to go, and forget it when its time is over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from service.domain.moves import output_expiring
from service.domain.predictions import RETENTION_MS
from service.domain.timetable import Timetable
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.stores.work_schedule import WorkSchedule
from service.usecases.transition import Transition

Step = Literal["told", "purged", "waiting", "gone"]

NOT_CLOSED_S: Final = 3_600.0
"""When to come back to a prediction that should be forgotten, and whose cost is still not known."""


@dataclass(frozen=True, slots=True)
class Retain:
    """The use case behind the due set `retain`."""

    predictions: PredictionStore
    transition: Transition
    schedule: WorkSchedule
    timetable: Timetable
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self, prediction_id: str, token: str) -> Step:
        """Do what is due of one leased prediction. Raises `StoreUnavailable`: then it falls due again."""
        step = await self._step(prediction_id, token)
        self.metrics.retained.labels(step).inc()
        return step

    async def _step(self, prediction_id: str, token: str) -> Step:
        prediction = await self.predictions.load(prediction_id)
        if prediction is None or not prediction.state.ended:
            await self.schedule.put_back("retain", prediction_id, token, None)
            return "gone"
        now_ms = int(self.clock() * 1000)
        if now_ms >= prediction.ended_at_ms + RETENTION_MS:
            if prediction.watched:
                await self.schedule.put_back("retain", prediction_id, token, NOT_CLOSED_S)
                return "waiting"
            return "purged" if await self.predictions.purge(prediction, token) else "gone"
        wait_s = self.timetable.next_retention_s(prediction, now_ms) or 0.0
        if wait_s > 0:
            await self.schedule.put_back("retain", prediction_id, token, wait_s)
            return "waiting"
        await self.transition(prediction, lambda p, _: output_expiring(p))
        return "told"
