"""Delete a prediction: hidden from its tenant for good, with all that was owed of it."""

from dataclasses import dataclass

from service.domain.errors import Conflict
from service.domain.moves import deleted
from service.domain.predictions import Prediction
from service.stores.prediction_store import PredictionStore
from service.usecases.transition import Transition


@dataclass(frozen=True, slots=True)
class Delete:
    """The use case. What it costs is found out all the same: WaveSpeed cannot stop a task it has taken."""

    predictions: PredictionStore
    transition: Transition

    async def __call__(self, prediction_id: str, tenant_id: str) -> Prediction:
        """The prediction, hidden. One that has not ended is canceled by this.

        Raises `NotFound` (also for another tenant's, and for one deleted before), `StoreUnavailable`.
        """
        prediction = await self.predictions.load_for(prediction_id, tenant_id)
        after = await self.transition(prediction, deleted)
        if not after.deleted_at_ms:
            raise Conflict("the prediction is being changed by others; try again")
        return after
