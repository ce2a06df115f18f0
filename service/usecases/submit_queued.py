"""Send one submission that has waited, now that the account has capacity; or end one that has waited for too long."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from service.domain.errors import AccountFault, NeverSent, UpstreamRefused
from service.domain.moves import ended_by_gateway, never_started, put_back
from service.domain.predictions import Prediction, State
from service.metrics import Metrics
from service.stores.insisting import insist
from service.stores.prediction_store import PredictionStore
from service.usecases.start import Start
from service.usecases.transition import Transition

Result = Literal["sent", "put_back", "refused", "expired", "gone"]

NO_CAPACITY: Final = "expired: the WaveSpeed account had no capacity for it in all the time it may wait"
"""What a caller reads of a submission that waited for too long."""

LATE_S: Final = 5.0
"""One that was taken out longer ago is put back unsent: by the time it must be over it might still be under way."""


@dataclass(frozen=True, slots=True)
class SubmitQueued:
    """The use case of the worker. What was taken out is sent once, and again only if it provably never left."""

    predictions: PredictionStore
    transition: Transition
    start: Start
    metrics: Metrics
    clock: Callable[[], float]

    async def __call__(self, prediction_id: str, _token: str) -> bool:
        """Act on one that was leased. True: its end may have made room for the next."""
        prediction = await insist(lambda: self.predictions.load(prediction_id))
        result = "gone" if prediction is None else await self._act(prediction)
        self.metrics.queued_submissions.labels(result).inc()
        return True

    async def _act(self, prediction: Prediction) -> Result:
        """What comes of it."""
        if prediction.state is State.QUEUED:
            await self.transition(prediction, lambda p, now: ended_by_gateway(p, State.EXPIRED, NO_CAPACITY, now))
            return "expired"
        if prediction.state is not State.SUBMITTING:  # its tenant has canceled it meanwhile: nothing was sent
            await self.start.record(prediction, put_back)
            return "gone"
        if self.clock() - prediction.submitted_at_ms / 1000 > LATE_S:
            await self.start.put_back(prediction, "over")
            return "put_back"
        self.metrics.queue_wait.observe(max(0.0, (prediction.submitted_at_ms - prediction.created_at_ms) / 1000))
        return await self._send(prediction)

    async def _send(self, prediction: Prediction) -> Result:
        """Send it, and let it wait again if it is not to blame for what comes of that."""
        try:
            after = await self.start(prediction)
        except AccountFault as fault:
            if fault.paused:
                await self.start.put_back(prediction, "over")
                return "put_back"
            return await self._refused(prediction, fault)
        except NeverSent:
            await self.start.put_back(prediction, "unreachable")
            return "put_back"
        except UpstreamRefused as refusal:
            return await self._refused(prediction, refusal)
        if after.state is State.QUEUED:
            return "put_back"
        taken = after.state is not State.UNCONFIRMED
        await insist(lambda: self.start.queue.heard("well" if taken else "over", prediction.model_class))
        return "sent"

    async def _refused(self, prediction: Prediction, refusal: UpstreamRefused) -> Result:
        """It is itself to blame: it has failed."""
        reason = f"not started: {refusal}"
        await self.start.record(prediction, lambda p, now: never_started(p, reason, now))
        await insist(lambda: self.start.queue.heard("well", prediction.model_class))
        return "refused"
