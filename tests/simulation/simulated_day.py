"""One day of many tenants before one account: the real scripts on a real server, in virtual time.

Python decides what happens and when; the scripts decide who waits and who is sent. After every moment an independent
model of the account is asked whether they were right.
"""

import asyncio
from bisect import insort
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, Literal, NamedTuple

from service.domain.capacity import CLASSES, ModelClass
from service.domain.predictions import Prediction, State
from service.stores import keys
from tests.integration.stores.waiting_room import WaitingRoom
from tests.simulation.account import AccountModel
from tests.simulation.fairness import Moment, What
from tests.simulation.traffic import Arrival, Day, arrivals_of, later
from tests.simulation.upstream import Upstream, Verdict

AT_ONCE: Final = 100
"""Calls in flight at a time: fewer than a batch, so that they keep their order and a seed tells all."""

LEASED_AT_ONCE: Final = 128

Kind = Literal["submit", "reach", "answer", "end", "cancel"]


class Event(NamedTuple):
    """Something that happens; those of one moment in the order they were thought of."""

    at_ms: int
    order: int
    kind: Kind
    subject: Any


class SimulatedDay:
    """The day as it passes. `log` is what `fairness` judges."""

    def __init__(self, day: Day, room: WaitingRoom, weights: dict[str, int], random: Random) -> None:
        self.day = day
        self.room = room
        self.clock = room.clock
        self.random = random
        self.weights = weights
        self.account = AccountModel(day.capacity)
        self.upstream = Upstream(day, self.clock.now_ms)
        self.events: list[Event] = []
        self.thought_of = 0
        self.wake_at_ms = float("inf")
        self.woken = False
        self.waiting: dict[ModelClass, dict[str, list[str]]] = {one: {} for one in CLASSES}
        self.answers: dict[str, Verdict] = {}
        self.log: list[tuple[What, str, ModelClass]] = []
        self.refused: list[int] = []
        self.started_at: dict[str, int] = {}
        self.submitted = 0
        self.ends: Counter[str] = Counter()
        self.forgotten: list[Prediction] = []

    async def pass_by(self) -> None:
        """Let it pass, to the last end."""
        begun_ms = self.clock.now_ms
        for arrival in arrivals_of(self.day, self.weights, self.random):
            self._expect(begun_ms + arrival.at_ms, "submit", arrival)
        while self.events or self._who_waits():
            next_ms = self.events[0].at_ms if self.events else float("inf")
            self.clock.now_ms = int(min(next_ms, max(self.wake_at_ms, self.clock.now_ms)))
            await self._moment()
        await self._forget(all_of_them=True)

    def _expect(self, at_ms: int, kind: Kind, subject: Any) -> None:
        self.thought_of += 1
        heappush(self.events, Event(at_ms, self.thought_of, kind, subject))

    def _who_waits(self) -> list[ModelClass]:
        """The classes of which some wait."""
        return [one for one in CLASSES if self.waiting[one]]

    async def _moment(self) -> None:
        """All that happens now."""
        now_ms = self.clock.now_ms
        happening: dict[Kind, list[Any]] = {"reach": [], "answer": [], "end": [], "cancel": [], "submit": []}
        while self.events and self.events[0].at_ms == now_ms:
            event = heappop(self.events)
            happening[event.kind].append(event.subject)
        for one in happening["reach"]:
            self.answers[one] = self.upstream.receive(one, self._class_of(one), now_ms)
        await self._each(happening["answer"], self._answer)
        await self._each(happening["end"], self._end)
        await self._each(happening["cancel"], self._cancel)
        await self._each(happening["submit"], self._submit)
        if self.woken or now_ms >= self.wake_at_ms:
            await self._lease()
        self.account.require_no_idle_place(self._who_waits(), now_ms, self.wake_at_ms)
        await self._forget()

    async def _each(self, subjects: Sequence[Any], act: Callable[[Any], Awaitable[None]]) -> None:
        """Do the same to many, so that their commands travel together."""
        for first in range(0, len(subjects), AT_ONCE):
            await asyncio.gather(*map(act, subjects[first : first + AT_ONCE]))

    async def _submit(self, arrival: Arrival) -> None:
        """One comes: it is sent at once if it may be, else it waits."""
        self.submitted += 1
        nobody_waits = not self._who_waits()
        admitted = await self.room.submit(f"{self.submitted:06}", arrival.tenant, arrival.model_class)
        if admitted.state is State.SUBMITTING:
            assert nobody_waits, "nobody overtakes those who wait"
            assert not self.account.failures
            self._send(admitted.id)
            return
        self.woken = True
        self._wait(admitted.id)
        self._note("join", admitted.id)
        if self.random.random() < self.day.cancels:
            self._expect(self.clock.now_ms + later(self.random, 1, 90), "cancel", admitted.id)

    async def _lease(self) -> None:
        """Take out as many as come, as a worker does."""
        self.woken = False
        while True:
            wanted = LEASED_AT_ONCE
            taken = await self.room.lease(wanted)
            for one in taken:
                queue = self.waiting[self._class_of(one)][self._tenant_of(one)]
                assert queue.pop(0) == one, "first come, first served"
                if not queue:
                    del self.waiting[self._class_of(one)][self._tenant_of(one)]
                self.started_at[one] = len(self.log)
                self._note("start", one)
                self._send(one)
            if len(taken) < wanted:
                next_s = self.room.next_due_s
                self.wake_at_ms = float("inf") if next_s is None else self.clock.now_ms + round(next_s * 1000)
                return

    def _send(self, prediction_id: str) -> None:
        """It is on its way, reaches the upstream some time, and is answered some time later."""
        self.account.take(prediction_id, self._class_of(prediction_id), self.clock.now_ms)
        reached_ms = self.clock.now_ms + later(self.random, 0, 1)
        self._expect(reached_ms, "reach", prediction_id)
        self._expect(reached_ms + later(self.random, 0, 1), "answer", prediction_id)

    async def _answer(self, prediction_id: str) -> None:
        """The upstream has answered: it runs, or waits again in its place."""
        now_ms, model_class = self.clock.now_ms, self._class_of(prediction_id)
        self.account.answer(prediction_id, model_class, now_ms)
        verdict = self.answers.pop(prediction_id)
        if verdict == "taken":
            self._expect(now_ms + later(self.random, *self.day.run_s), "end", prediction_id)
            if self.account.failures:
                self.account.well(self.clock.now_ms)
                await self.room.queue.heard("well", model_class)
            moved = await self.room.confirm(prediction_id)
            self.woken = self.woken or moved.waiting
            return
        self.account.refuse(verdict, model_class, now_ms)
        self.account.end(prediction_id)
        self._wait(prediction_id)
        came_from_queue = self.started_at.pop(prediction_id, None)
        if came_from_queue is None:
            self._note("join", prediction_id)
        else:
            self.refused.append(came_from_queue)
        self.woken = True
        await self.room.refuse(prediction_id, verdict)

    async def _end(self, prediction_id: str) -> None:
        """A run ends."""
        self.account.end(prediction_id)
        self.upstream.running.remove(prediction_id)
        self._count_end(prediction_id)
        moved = await self.room.complete(prediction_id)
        self.woken = self.woken or moved.waiting

    async def _cancel(self, prediction_id: str) -> None:
        """A tenant has thought better of it, if it still waits."""
        if self.room.known[prediction_id].state is not State.QUEUED:
            return
        queue = self.waiting[self._class_of(prediction_id)][self._tenant_of(prediction_id)]
        queue.remove(prediction_id)
        if not queue:
            del self.waiting[self._class_of(prediction_id)][self._tenant_of(prediction_id)]
        self._note("leave", prediction_id)
        self._count_end(prediction_id)
        await self.room.cancel(prediction_id)

    def _count_end(self, prediction_id: str) -> None:
        assert not self.room.known[prediction_id].state.ended, "each ends once"
        self.ends[self._tenant_of(prediction_id)] += 1
        self.forgotten.append(self.room.known[prediction_id])

    def _wait(self, prediction_id: str) -> None:
        """Ids tell who came first."""
        queue = self.waiting[self._class_of(prediction_id)].setdefault(self._tenant_of(prediction_id), [])
        insort(queue, prediction_id)

    def _class_of(self, prediction_id: str) -> ModelClass:
        return self.room.known[prediction_id].model_class

    def _tenant_of(self, prediction_id: str) -> str:
        return self.room.known[prediction_id].tenant

    def _note(self, what: What, prediction_id: str) -> None:
        self.log.append((what, self._tenant_of(prediction_id), self._class_of(prediction_id)))

    def logs(self) -> list[list[Moment]]:
        """What happened in each queue. What was put back did not start.

        Where starts are limited each class is a queue; else there is one in all, and tenants have one share in it.
        """
        undone = set(self.refused)
        done = [moment for at, moment in enumerate(self.log) if at not in undone]
        if self.day.capacity.per_minute:
            return [
                [Moment(what, tenant) for what, tenant, one in done if one == model_class] for model_class in CLASSES
            ]
        return [[Moment(what, tenant) for what, tenant, _ in done]]

    async def _forget(self, *, all_of_them: bool = False) -> None:
        """Delete what has ended, so that Redis need not hold the whole day."""
        if len(self.forgotten) < 500 and not all_of_them:
            return
        ended, self.forgotten = self.forgotten, []
        ids = [one.id for one in ended]
        of_each = (keys.prediction, keys.prediction_events, keys.prediction_deliveries, keys.upstream_task)
        if ids:
            await self.room.stack.commands("UNLINK", *(key(one) for one in ids for key in of_each))
        for tenant in {one.tenant for one in ended}:
            mine = [one.id for one in ended if one.tenant == tenant]
            await self.room.stack.commands("ZREM", keys.tenant_predictions(tenant), *mine)
