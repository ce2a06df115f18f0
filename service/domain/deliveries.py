"""A delivery: one message owed to one address."""

from dataclasses import dataclass
from typing import Literal

DeliveryState = Literal["pending", "delivered", "dead"]
"""Owed; taken by its receiver; or given up."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message owed to one address: a registered `endpoint`, or a request's own callback (`url`).

    `message_id` is the same in every attempt. A prediction's event has its body in the prediction's log, any other
    message carries its own. `schedule_from` is how many attempts had been made when it was last sent again: the
    schedule begins anew there.
    """

    id: str
    tenant: str
    event: str
    state: DeliveryState
    attempts: int
    created_at_ms: int
    lane: str
    message_id: str
    prediction: str = ""
    sequence: int = 0
    endpoint: str = ""
    url: str = ""
    body: bytes = b""
    traceparent: str = ""
    schedule_from: int = 0
    last_attempt_at_ms: int = 0

    @property
    def is_test(self) -> bool:
        """Whether it only tests its endpoint: one attempt, of no consequence."""
        return self.event == "endpoint.test"
