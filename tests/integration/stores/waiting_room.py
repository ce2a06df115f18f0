"""Submissions of many tenants before one account, on the real scripts: what tests of the queue stand on."""

from collections.abc import Mapping, Sequence
from typing import Final

from service.domain.capacity import Capacity, ModelClass
from service.domain.limits import Limits
from service.domain.moves import confirmed, ended_by_gateway, put_back
from service.domain.predictions import Change, Prediction, State
from service.domain.tenants import Tenant, TenantState
from service.domain.webhook_signature import new_secret
from service.stores.prediction_store import Moved
from service.stores.quota_ledger import QuotaLedger
from service.stores.submission_queue import SubmissionQueue, Verdict
from tests.integration.stores.stack import START_MS, Stack, completed

OVER_S: Final = 70.0
"""When a submission is over at the latest, in seconds."""

PRICE_MICROS: Final = 7
"""What each costs."""


class WaitingRoom:
    """The queue before an account of some capacity. It remembers every prediction as it stands.

    `next_due_s` is in how many seconds the last lease found it worth while to look again.
    """

    def __init__(self, stack: Stack, capacity: Capacity, max_wait_s: float = 10**7) -> None:
        self.stack = stack
        self.clock = stack.clock
        self.queue = SubmissionQueue(stack.commands, stack.scripts, capacity, OVER_S, max_wait_s, stack.clock.ms)
        self.ledger = QuotaLedger(stack.commands, stack.scripts, stack.clock.ms, capacity)
        self.known: dict[str, Prediction] = {}
        self.next_due_s: float | None = None

    async def add_tenants(self, weights: Mapping[str, int]) -> None:
        """Store tenants of these weights, without limits of their own."""
        for tenant, weight in weights.items():
            await self.stack.tenants.create(_tenant(tenant, weight), new_secret())

    async def weigh(self, tenant: str, weight: int) -> None:
        """Change a tenant's weight."""
        await self.stack.tenants.update(_tenant(tenant, weight))

    async def submit(self, prediction_id: str, tenant: str, model_class: ModelClass = "video") -> Prediction:
        """Submit now: it is `submitting` or `queued` then."""
        prediction = Prediction(
            id=prediction_id,
            tenant=tenant,
            model=f"some/{model_class}",
            state=State.SUBMITTING,
            created_at_ms=self.clock.now_ms,
            model_class=model_class,
            price_micros=PRICE_MICROS,
            money="held",
        )
        admitted = (await self.ledger.admit(prediction, OVER_S, 10**6)).prediction
        self.known[prediction_id] = admitted
        return admitted

    async def submit_many(self, count: int, tenant: str, model_class: ModelClass = "video") -> list[str]:
        """Submit so many, one after the other; their ids."""
        first = len(self.known)
        return [(await self.submit(f"{tenant}-{first + n:05}", tenant, model_class)).id for n in range(count)]

    async def lease(self, limit: int = 100, too_late: Sequence[str] = ()) -> list[str]:
        """Take out what there is capacity for; the ids, in order. Those in `too_late` have waited for too long."""
        leased = await self.queue.lease(limit)
        self.next_due_s = leased.next_due_s
        for prediction_id in (one for one in leased.ids if one not in too_late):
            before = self.known[prediction_id]
            self.known[prediction_id] = before._replace(
                state=State.SUBMITTING, rev=before.rev + 1, submitted_at_ms=self.clock.now_ms
            )
        return list(leased.ids)

    async def serve(self, count: int) -> list[str]:
        """Have the account take and complete submissions, one at a time; the ids, in order."""
        served = []
        for _ in range(count):
            (one,) = await self.lease(1)
            await self.complete(one)
            served.append(one)
        return served

    async def confirm(self, prediction_id: str) -> Moved:
        """The upstream has taken it."""
        return await self._move(prediction_id, confirmed(self._of(prediction_id), prediction_id, self.clock.now_ms))

    async def complete(self, prediction_id: str) -> Moved:
        """The upstream has taken it, if that was not known, and made it."""
        if self._of(prediction_id).state is State.SUBMITTING:
            await self.confirm(prediction_id)
        return await self._move(prediction_id, completed(self._of(prediction_id), self.clock.now_ms))

    async def cancel(self, prediction_id: str) -> Moved:
        """Its tenant wants it no more."""
        change = ended_by_gateway(self._of(prediction_id), State.CANCELED, "canceled", self.clock.now_ms)
        return await self._move(prediction_id, change)

    async def expire(self, prediction_id: str) -> Moved:
        """It has waited for too long."""
        change = ended_by_gateway(self._of(prediction_id), State.EXPIRED, "expired", self.clock.now_ms)
        return await self._move(prediction_id, change)

    async def refuse(self, prediction_id: str, verdict: Verdict | None = None) -> Moved:
        """It was not started: it waits again."""
        if verdict is not None:
            await self.queue.heard(verdict, self._of(prediction_id).model_class)
        return await self._move(prediction_id, put_back(self._of(prediction_id), self.clock.now_ms))

    def _of(self, prediction_id: str) -> Prediction:
        return self.known[prediction_id]

    async def _move(self, prediction_id: str, change: Change | None) -> Moved:
        """Write a legal change that must go through."""
        assert change is not None
        before, after = self._of(prediction_id), change.after
        moved = await self.stack.predictions.move(
            before, change, next_look_s=30.0 if after.watched else None, stuck_after_s=10**6, event_body=b"{}"
        )
        assert moved.outcome == "moved", moved
        self.known[prediction_id] = after
        return moved


def _tenant(tenant_id: str, weight: int) -> Tenant:
    """A tenant of some weight."""
    return Tenant(tenant_id, tenant_id, TenantState.ACTIVE, START_MS, weight=weight, limits=Limits())
