"""Tell a submission that waits for the account how many are before it, and about when it will be sent."""

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.capacity import starts_in_s
from service.domain.predictions import Prediction, State
from service.domain.timestamps import rfc3339
from service.domain.timetable import Timetable
from service.stores.submission_queue import SubmissionQueue


@dataclass(frozen=True, slots=True)
class Place:
    """`position` 1 is next; `estimated_start_at` (RFC 3339) is a guess, None while nothing is sent at all."""

    position: int
    estimated_start_at: str | None


@dataclass(frozen=True, slots=True)
class EstimateStart:
    """The use case. It assumes that nobody else comes, and that runs take as long as they usually do."""

    queue: SubmissionQueue
    timetable: Timetable
    clock: Callable[[], float]

    async def __call__(self, prediction: Prediction) -> Place | None:
        """Where it stands; None when it does not wait any more. Raises `StoreUnavailable`."""
        before = await self.queue.before(prediction) if prediction.state is State.QUEUED else None
        if before is None:
            return None
        account = await self.queue.account(prediction.model_class)
        if account.paused:
            return Place(before + 1, None)
        run_s = self.timetable.profile(prediction.model).usual_s
        in_s = starts_in_s(before, account.capacity, prediction.model_class, run_s)
        return Place(before + 1, rfc3339(int(self.clock() * 1000 + max(in_s * 1000, account.blocked_ms))))
