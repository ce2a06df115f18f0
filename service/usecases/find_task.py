"""Find the upstream's task of a submission whose answer never came, in the account's list of tasks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from service.domain.claims import Task, claim, rivals_within_s, span_ms
from service.domain.errors import ReadFailed
from service.domain.predictions import Prediction
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.upstream.payloads import ListedTask
from service.upstream.task_list import TaskList

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FindTask:
    """The use case. `submit_over_s` is the time after which no submission is under way any more."""

    predictions: PredictionStore
    tasks: TaskList
    metrics: Metrics
    clock: Callable[[], float]
    submit_over_s: float

    async def __call__(self, prediction: Prediction) -> Task | None:
        """The task that can only be this prediction's, or None. Raises `StoreUnavailable`; a failed read is None."""
        try:
            listed = await self._listed(prediction)
        except ReadFailed as failure:
            log.info("search failed", prediction=prediction.id, tenant=prediction.tenant, reason=failure.reason)
            self.metrics.searches.labels("failed").inc()
            return None
        twins = await self.predictions.unconfirmed_twins(prediction, rivals_within_s(self.submit_over_s))
        if listed is None or twins is None:
            verdict: Task | str = "ambiguous"
        else:
            free = await self._free(listed)
            verdict = claim(prediction, twins, free, self.submit_over_s, int(self.clock() * 1000))
        self.metrics.searches.labels(verdict if isinstance(verdict, str) else "found").inc()
        if isinstance(verdict, Task):
            return verdict
        if verdict == "ambiguous":
            log.warning("search ambiguous", prediction=prediction.id, tenant=prediction.tenant)
        return None

    async def _listed(self, prediction: Prediction) -> list[ListedTask] | None:
        """Every task of equal model and inputs in the span of time in question, None when there are too many."""
        tasks = await self.tasks.between(prediction.model, *span_ms(prediction, self.submit_over_s))
        if tasks is None:
            return None
        wanted = prediction.model, prediction.input_sha256
        return [task for task in tasks if (task.model, task.input_sha256) == wanted]

    async def _free(self, listed: list[ListedTask]) -> list[Task]:
        """Those that belong to no prediction."""
        owners = await asyncio.gather(*(self.predictions.owner_of(task.upstream_id) for task in listed))
        return [
            Task(task.upstream_id, task.created_at_ms) for task, owner in zip(listed, owners, strict=True) if not owner
        ]
