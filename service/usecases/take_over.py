"""Give a prediction whose caller hung up before it had the id to the next one that asks for the same.

Some clients of WaveSpeed give a synchronous submission up after ten seconds and post it again, up to five times; each
copy would be another run to pay for.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from service.domain.predictions import Prediction, State
from service.stores.abandoned import Abandoned
from service.stores.prediction_store import PredictionStore
from service.usecases.submit import Submission

_AGAIN_S: Final = 0.05
_TRIES: Final = 6
"""How long a copy waits for the caller before it to be gone: that is noticed within milliseconds."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The use case, for callers that are held. One that gave an idempotency key needs none of it: nothing is done."""

    abandoned: Abandoned
    predictions: PredictionStore

    async def __call__(self, tenant_id: str, submission: Submission) -> Prediction | None:
        """The tenant's own prediction of the same request that nobody has the id of, if there is one.

        It is this caller's from now on. One that has come to nothing is nobody's: the request is made anew. Raises
        `StoreUnavailable`.
        """
        if submission.idempotency_key:
            return None
        prediction_id = await self.abandoned.take(tenant_id, submission.fingerprint)
        for _ in range(_TRIES):  # whoever posts again at once is here before the gateway knows that it has hung up
            if prediction_id is not None:
                break
            await asyncio.sleep(_AGAIN_S)
            prediction_id = await self.abandoned.take(tenant_id, submission.fingerprint)
        prediction = await self.predictions.load(prediction_id) if prediction_id else None
        if prediction is None or prediction.deleted_at_ms:
            return None
        return None if prediction.state.ended and prediction.state is not State.COMPLETED else prediction

    async def hold(self, tenant_id: str, submission: Submission, within_s: float) -> None:
        """Its caller is held from now on, for so long at most. Raises `StoreUnavailable`."""
        if not submission.idempotency_key:
            await self.abandoned.hold(tenant_id, submission.fingerprint, within_s)

    async def release(self, tenant_id: str, submission: Submission, left: Prediction | None) -> None:
        """It is held no more: it has its answer, or has hung up and `left` a prediction. Raises `StoreUnavailable`."""
        if submission.idempotency_key:
            return
        if left is None:
            await self.abandoned.answered(tenant_id, submission.fingerprint)
        else:
            await self.abandoned.put(tenant_id, submission.fingerprint, left.id)
