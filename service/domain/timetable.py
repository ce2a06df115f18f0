"""When to look at which prediction, and when one counts as stuck. Pure."""

from dataclasses import dataclass
from typing import Final

from service.domain.catalogue import Catalogue
from service.domain.errors import NotFound
from service.domain.polling import Patience, PollProfile
from service.domain.predictions import RETENTION_MS, Prediction

_FORGOTTEN_MODEL: Final = PollProfile(usual_s=30, step_s=10, max_step_s=30, deadline_s=1800)
"""How a prediction is polled whose model has left the catalogue: what was accepted is looked after to its end."""


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
        try:
            profile = self.catalogue.get(model_id).poll
        except NotFound:
            profile = _FORGOTTEN_MODEL
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
