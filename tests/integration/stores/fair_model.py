"""The queue in the plainest terms: start-time fair queueing of a few tenants, step by step."""

from dataclasses import dataclass, field
from itertools import count
from typing import Final

from service.domain.capacity import CLASSES, ModelClass

STRIDE: Final = 1_000_000

Flow = tuple[ModelClass, str]


@dataclass
class FairModel:
    """Who waits, by class and tenant: (when it came, id); the tags; and in which order they are taken."""

    weights: dict[str, int]
    waiting: dict[Flow, list[tuple[int, str]]] = field(default_factory=dict)
    tags: dict[Flow, int] = field(default_factory=dict)
    last_served: int = 0

    def stride(self, tenant: str) -> int:
        """How far a turn moves a tenant on."""
        return STRIDE // self.weights[tenant]

    def join(self, model_class: ModelClass, tenant: str, at_ms: int, prediction_id: str) -> None:
        """One waits from now on. Who did not begins no earlier than whoever was served last."""
        flow = (model_class, tenant)
        if flow not in self.waiting:
            self.tags[flow] = max(self.tags.get(flow, self.last_served), self.last_served)
        self.waiting.setdefault(flow, []).append((at_ms, prediction_id))
        self.waiting[flow].sort()

    def leave(self, model_class: ModelClass, tenant: str, prediction_id: str) -> None:
        """One waits no more. When nobody does, everything begins anew."""
        flow = (model_class, tenant)
        self.waiting[flow] = [one for one in self.waiting[flow] if one[1] != prediction_id]
        if not self.waiting[flow]:
            del self.waiting[flow]

    def begin_anew(self) -> None:
        """Forget all tags."""
        self.tags, self.last_served = {}, 0

    def first(self) -> tuple[Flow, str] | None:
        """Who is next."""
        if not self.waiting:
            return None
        _, _, (_, prediction_id), flow = min(
            (self.tags[flow], flow[1], queue[0], flow) for flow, queue in self.waiting.items()
        )
        return flow, prediction_id

    def turn(self, flow: Flow) -> None:
        """One has had its turn. It counts in both classes."""
        tenant, begun = flow[1], self.tags[flow]
        self.last_served = max(self.last_served, begun)
        for one in CLASSES:
            other = (one, tenant)
            now = begun + self.stride(tenant)
            self.tags[other] = now if other == flow else max(now, self.tags.get(other, now))

    def give_back(self, flow: Flow) -> None:
        """One that waits again has had its turn in vain."""
        self.tags[flow] -= self.stride(flow[1])

    def order(self) -> list[str]:
        """In which order they are taken if nobody else comes."""
        ahead = FairModel(self.weights, dict(self.waiting), dict(self.tags), self.last_served)
        found = []
        for _ in count():
            following = ahead.first()
            if following is None:
                break
            flow, prediction_id = following
            ahead.leave(*flow, prediction_id)
            ahead.turn(flow)
            found.append(prediction_id)
        return found
