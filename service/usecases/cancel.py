"""Cancel a prediction: for its tenant it has ended at once; what it costs turns out later."""

from dataclasses import dataclass
from typing import Final

from service.domain.errors import Conflict, NotFound
from service.domain.moves import ended_by_gateway
from service.domain.predictions import Prediction, State
from service.stores.prediction_store import PredictionStore
from service.usecases.transition import Transition

REASON: Final = "canceled by its tenant"
"""What readers of WaveSpeed's face, who know no canceled state, find as the error."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The use case. WaveSpeed cannot stop a task, so one it has taken runs on, and is paid for if it completes."""

    predictions: PredictionStore
    transition: Transition

    async def __call__(self, prediction_id: str, tenant_id: str = "") -> Prediction:
        """The prediction, canceled; also when it was before. Without `tenant_id` it may be any tenant's.

        Raises `NotFound` (also for another tenant's), `Conflict` when it has ended otherwise, `StoreUnavailable`.
        """
        prediction: Prediction | None
        if tenant_id:
            prediction = await self.predictions.load_for(prediction_id, tenant_id)
        else:
            prediction = await self.predictions.load(prediction_id)
        if prediction is None:
            raise NotFound("prediction not found")
        after = await self.transition(prediction, lambda p, now: ended_by_gateway(p, State.CANCELED, REASON, now))
        if after.state is not State.CANCELED:
            raise Conflict(f"the prediction cannot be canceled: it is {after.state.value}")
        return after
