"""When to look at which prediction, and when one counts as stuck. Pure."""

from dataclasses import dataclass

from service.domain.catalogue import Catalogue
from service.domain.polling import Patience, PollProfile
from service.domain.predictions import RETENTION_MS, Prediction


@dataclass(frozen=True, slots=True)
class Timetable:
    """The models' profiles, how long the upstream is waited for, and how long before their end outputs are announced
    to expire (`expiring_s` seconds; 0 announces nothing). `called_back` where the upstream announces ends itself.
    """

    catalogue: Catalogue
    patience: Patience
    expiring_s: float = 0.0
    called_back: bool = False

    def profile(self, model_id: str) -> PollProfile:
        """How this model is polled."""
        profile = self.catalogue.poll(model_id)
        return profile.as_safety_net() if self.called_back else profile

    def stuck_after_s(self, prediction: Prediction) -> float:
        """Seconds after its last move, when a prediction that did not move again counts as stuck."""
        waits_s = self.patience.close_s if prediction.closing else self.profile(prediction.model).deadline_s
        if not prediction.upstream_id:
            waits_s = max(waits_s, self.patience.give_up_s)
        return waits_s + self.patience.overdue_s

    def next_retention_s(self, prediction: Prediction, now_ms: int) -> float | None:
        """Seconds until something is due of an ended prediction: to tell that its outputs expire, or to purge it."""
        if not prediction.state.ended:
            return None
        due_ms = prediction.ended_at_ms + RETENTION_MS
        if self.expiring_s and prediction.output_expires_at_ms and not prediction.expiring_sequence:
            due_ms -= int(self.expiring_s * 1000)
        return max(0, due_ms - now_ms) / 1000
