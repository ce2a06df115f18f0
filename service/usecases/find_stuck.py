"""Predictions that have not moved for far too long: listed for operators, and put back where they are looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from service.domain.predictions import Prediction
from service.domain.timestamps import rfc3339
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.stores.work_schedule import WorkSchedule

MENDED_AT_ONCE: Final = 100
"""How many stuck predictions one sweep makes sure of."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stuck:
    """One of them: `since_ms` is when it came to count as stuck, `stuck_s` how many seconds ago that was."""

    prediction: Prediction
    since_ms: int
    stuck_s: float

    def shown(self) -> dict[str, Any]:
        """It for scripts: no prompt, no answer."""
        return {
            "id": self.prediction.id,
            "tenant": self.prediction.tenant,
            "model": self.prediction.model,
            "state": self.prediction.state.value,
            "created_at": rfc3339(self.prediction.created_at_ms),
            "stuck_since": rfc3339(self.since_ms),
            "stuck_s": round(self.stuck_s),
        }


@dataclass(frozen=True, slots=True)
class FindStuck:
    """The use case, for the sweep and the command line."""

    predictions: PredictionStore
    schedule: WorkSchedule
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self, limit: int) -> list[Stuck]:
        """Up to `limit` of them, the longest stuck first. Raises `StoreUnavailable`."""
        now_ms = int(self.clock() * 1000)
        found = await self.predictions.stuck(now_ms, limit)
        return [Stuck(prediction, since_ms, (now_ms - since_ms) / 1000) for prediction, since_ms in found]

    async def mend(self) -> int:
        """Count them in the metric, and have those fall due that nothing would look at; how many that were."""
        self.metrics.stuck.set(await self.predictions.count_stuck(int(self.clock() * 1000)))
        mended = 0
        for stuck in await self(MENDED_AT_ONCE):
            if await self.schedule.ensure("poll", stuck.prediction.id):
                log.error("a prediction nobody looked at", prediction=stuck.prediction.id)
                mended += 1
        if mended:
            self.schedule.wake("poll", 0.0)
        return mended
