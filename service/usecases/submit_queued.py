"""Send one submission that has waited, now that the account has capacity; or end one that has waited for too long."""

from dataclasses import dataclass
from typing import Final, Literal

import structlog

from service.domain.errors import AccountFault, NeverSent, UpstreamRefused
from service.domain.predictions import Prediction, State, ended_by_gateway, never_started
from service.metrics import Metrics
from service.stores.prediction_store import PredictionStore
from service.usecases.start import Start
from service.usecases.transition import Transition

Result = Literal["sent", "put_back", "refused", "expired", "gone"]

NO_CAPACITY: Final = "expired: the WaveSpeed account had no capacity for it in all the time it may wait"
"""What a caller reads of a submission that waited for too long."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SubmitQueued:
    """The use case of the worker. What was taken out is sent once, and again only if it provably never left."""

    predictions: PredictionStore
    transition: Transition
    start: Start
    metrics: Metrics

    async def __call__(self, prediction_id: str, _token: str) -> bool:
        """Act on one that was leased. True: its end may have made room for the next."""
        prediction = await self.predictions.load(prediction_id)
        result = "gone" if prediction is None else await self._act(prediction)
        self.metrics.queued_submissions.labels(result).inc()
        return True

    async def _act(self, prediction: Prediction) -> Result:
        """What comes of it."""
        if prediction.state is State.QUEUED:
            await self.transition(prediction, lambda p, now: ended_by_gateway(p, State.EXPIRED, NO_CAPACITY, now))
            return "expired"
        if prediction.state is not State.SUBMITTING:  # its tenant has canceled it meanwhile
            return "gone"
        self.metrics.queue_wait.observe(max(0.0, (prediction.submitted_at_ms - prediction.created_at_ms) / 1000))
        try:
            after = await self.start(prediction)
        except AccountFault:
            await self.start.put_back(prediction, None)
            return "put_back"
        except NeverSent:
            await self.start.put_back(prediction, "unreachable")
            return "put_back"
        except UpstreamRefused as refusal:
            reason = f"not started: {refusal}"
            await self.start.record(prediction, lambda p, now: never_started(p, reason, now))
            await self._well(prediction)
            return "refused"
        if after.state is State.QUEUED:
            return "put_back"
        await self._well(prediction)
        return "sent"

    async def _well(self, prediction: Prediction) -> None:
        """The account takes submissions: what held others back is over."""
        await self.start.queue.heard("well", prediction.model_class)
