"""The real scripts on a real server, step by step against a plain model: what the queue promises at every moment."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, Final

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis as BlockingRedis

from service.domain.capacity import CLASSES, Capacity, ModelClass
from service.domain.limits import window_of
from service.domain.predictions import State
from service.stores import keys
from service.stores.books import Books
from service.stores.submission_queue import Verdict
from tests.integration.stores.fair_model import FairModel
from tests.integration.stores.stack import Stack, open_stack
from tests.integration.stores.waiting_room import PRICE_MICROS, WaitingRoom
from tests.simulation.account import AccountModel

TENANTS: Final = ("a", "b", "c")
WEIGHTS: Final = (1, 2, 3, 7, 1000)
MAX_WAIT_S: Final = 250.0

weight = st.sampled_from(WEIGHTS)
tenant = st.sampled_from(TENANTS)
pick = st.integers(0, 10**6)


def _step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The machine's method of that name with such arguments."""
    return st.tuples(st.just(name), *arguments)


submit = _step("submit", tenant, st.sampled_from(CLASSES), st.integers(1, 8))
serve = _step("serve", st.integers(1, 8), st.integers(1, 3), st.sets(st.integers(0, 7), max_size=2))
step = st.one_of(
    # More of what makes things go on. In one rule, since Hypothesis would leave out most of many.
    submit,
    submit,
    serve,
    serve,
    _step("let_time_pass", st.sampled_from((0.001, 5.0, 30.0, 61.0, 200.0))),
    _step("lease", st.integers(1, 6)),
    _step("confirm", pick),
    _step("complete", pick),
    _step("refuse", pick, st.sampled_from((None, None, "concurrency", "rate", "unreachable"))),
    _step("cancel_waiting", pick),
    _step("cancel_running", pick),
    _step("close", pick),
    _step("pause", st.sampled_from((True, False, False))),
    _step("weigh", tenant, weight),
)


class QueueMachine(RuleBasedStateMachine):
    """Random submissions, leases, answers, cancellations, refusals, pauses and jumps in time.

    There is one class, limited a minute, or there are two that are not: the order between two queues of which one is
    held up is nothing for a plain model.
    """

    redis_url: str

    def __init__(self) -> None:
        super().__init__()
        with BlockingRedis.from_url(self.redis_url) as client:
            client.flushdb()
        self.runner = asyncio.Runner()
        self.opened = AsyncExitStack()
        self.stack: Stack = self.run(self.opened.enter_async_context(open_stack(self.redis_url)))
        self.paused = False
        self.expiring: dict[str, int] = {}

    def run(self, coroutine: Any) -> Any:
        """Run one operation of the store to its end."""
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        """Close what was opened."""
        self.run(self.opened.aclose())
        self.runner.close()

    @initialize(
        weights=st.tuples(weight, weight, weight),
        concurrency=st.integers(1, 4),
        per_minute=st.sampled_from((None, None, 3, 30)),
        crowd=st.lists(st.tuples(tenant, st.sampled_from(CLASSES)), min_size=8, max_size=20),
    )
    def begin(
        self,
        weights: tuple[int, ...],
        concurrency: int,
        per_minute: int | None,
        crowd: list[tuple[str, ModelClass]],
    ) -> None:
        """An account, and tenants of some weights who all want something of it."""
        self.classes: tuple[ModelClass, ...] = CLASSES if per_minute is None else ("video",)
        capacity = Capacity(concurrency, {} if per_minute is None else {"video": per_minute})
        self.model = FairModel(dict(zip(TENANTS, weights, strict=True)))
        self.account = AccountModel(capacity)
        self.room = WaitingRoom(self.stack, capacity, MAX_WAIT_S)
        self.run(self.room.add_tenants(self.model.weights))
        for tenant, model_class in crowd:
            self.submit(tenant, model_class, 1)

    @rule(step=step)
    def go_on(self, step: tuple[Any, ...]) -> None:
        """One of the things below happens."""
        name, *arguments = step
        getattr(self, name)(*arguments)

    @property
    def now_ms(self) -> int:
        """Now."""
        return self.stack.clock.now_ms

    def in_state(self, *states: State) -> list[str]:
        """The submissions in these states, by id."""
        return sorted(one.id for one in self.room.known.values() if one.state in states)

    def one_of(self, number: int, *states: State) -> str | None:
        """One of them, if there is one."""
        found = self.in_state(*states)
        return found[number % len(found)] if found else None

    def let_time_pass(self, seconds: float) -> None:
        """Time passes. No submission is under way for longer than it may be."""
        if self.in_state(State.SUBMITTING) and seconds > 60:
            return
        self.stack.clock.advance(seconds)

    def submit(self, tenant: str, model_class: ModelClass, many: int) -> None:
        """It is sent at once exactly when nobody waits and there is room; else it waits."""
        model_class = model_class if model_class in self.classes else "video"
        for _ in range(many):
            direct = (
                not (self.paused or self.account.failures or self.model.waiting or self.expiring)
                and self.now_ms >= self.account.blocked_until_ms
                and self.account.room(model_class, self.now_ms)
            )
            prediction_id = f"{len(self.room.known):04}"
            admitted = self.run(self.room.submit(prediction_id, tenant, model_class))
            assert admitted.state is (State.SUBMITTING if direct else State.QUEUED)
            if direct:
                self.account.take(prediction_id, model_class, self.now_ms)
            else:
                self.model.join(model_class, tenant, self.now_ms, prediction_id)

    def lease(self, limit: int) -> None:
        """Taken out: those who waited too long, to be ended; then in fair order as many as there is room for."""
        named = self.name_expiring(limit)
        expected: list[str] = []
        if not self.paused and self.now_ms >= self.account.blocked_until_ms:
            most = min(limit - len(named), 1) if self.account.failures else limit - len(named)
            while len(expected) < most and (first := self.model.first()) is not None:
                (model_class, tenant), prediction_id = first
                if not self.account.room(model_class, self.now_ms):
                    break
                self.account.take(prediction_id, model_class, self.now_ms)
                self.model.leave(model_class, tenant, prediction_id)
                self.model.turn((model_class, tenant))
                self.forget_tags()
                expected.append(prediction_id)
        assert self.run(self.room.lease(limit, named)) == named + expected

    def serve(self, times: int, limit: int, refused: set[int]) -> None:
        """For a while what there is room for is sent, and ends; now and then one of them is not started."""
        self.pause(False)
        self.let_time_pass(61.0)
        for number in range(times):
            self.lease(limit)
            if number in refused:
                self.refuse(number, None)
            for _ in self.in_state(State.SUBMITTING):
                self.confirm(0)
            for _ in self.in_state(State.CREATED):
                self.complete(0)

    def name_expiring(self, limit: int) -> list[str]:
        """Those who waited too long, the oldest first; again after ten seconds if they are not ended."""
        oldest_ms = self.now_ms - int(MAX_WAIT_S * 1000)
        late = [(at, one) for queue in self.model.waiting.values() for at, one in queue if at <= oldest_ms]
        late += [(at, one) for one, at in self.expiring.items() if at <= oldest_ms]
        named = [one for _, one in sorted(late)[:limit]]
        for one in named:
            if one not in self.expiring:
                prediction = self.room.known[one]
                self.model.leave(prediction.model_class, prediction.tenant, one)
            self.expiring[one] = oldest_ms + 10_000
        return named

    def forget_tags(self) -> None:
        """When nobody waits any more, tags begin anew."""
        if not (self.model.waiting or self.expiring):
            self.model.begin_anew()

    def confirm(self, number: int) -> None:
        """The upstream takes one: the trouble is over."""
        if one := self.one_of(number, State.SUBMITTING):
            self.account.answer(one, self.room.known[one].model_class, self.now_ms)
            self.run(self.room.confirm(one))
            self.run(self.room.queue.heard("well", "video"))
            self.account.well(self.now_ms)

    def complete(self, number: int) -> None:
        """A run ends."""
        if one := self.one_of(number, State.CREATED):
            self.account.end(one)
            self.run(self.room.complete(one))

    def refuse(self, number: int, verdict: Verdict | None) -> None:
        """It was not started: it waits in its old place, and the account is left alone for a while."""
        if one := self.one_of(number, State.SUBMITTING):
            prediction = self.room.known[one]
            flow = (prediction.model_class, prediction.tenant)
            if verdict is not None:
                self.account.refuse(verdict, prediction.model_class, self.now_ms)
            self.account.answer(one, prediction.model_class, self.now_ms)
            self.account.end(one)
            self.run(self.room.refuse(one, verdict))
            self.model.join(*flow, prediction.created_at_ms, one)
            if prediction.submitted_at_ms:
                self.model.give_back(flow)

    def cancel_waiting(self, number: int) -> None:
        """One that waits is canceled, or ended for having waited too long."""
        if one := self.one_of(number, State.QUEUED):
            if one in self.expiring:
                del self.expiring[one]
                self.run(self.room.expire(one))
            else:
                prediction = self.room.known[one]
                self.model.leave(prediction.model_class, prediction.tenant, one)
                self.run(self.room.cancel(one))
            self.forget_tags()

    def cancel_running(self, number: int) -> None:
        """One that runs is canceled: it keeps its place upstream until that is known to have ended."""
        if one := self.one_of(number, State.CREATED):
            self.run(self.room.cancel(one))

    def close(self, number: int) -> None:
        """What was canceled has ended upstream."""
        if (one := self.one_of(number, State.CANCELED)) and self.room.known[one].closing:
            self.account.end(one)
            self.run(self.room.complete(one))

    def pause(self, paused: bool) -> None:
        """An operator has nothing sent, or has it sent again: that ends a back-off too."""
        self.paused = paused
        if paused:
            self.run(self.room.queue.pause(self.now_ms, "maintenance"))
        else:
            self.run(self.room.queue.resume())
            self.account.failures = self.account.blocked_until_ms = 0

    def weigh(self, tenant: str, weight: int) -> None:
        """A weight changes, also while its tenant waits: from the next turn on."""
        self.model.weights[tenant] = weight
        self.run(self.room.weigh(tenant, weight))

    @invariant()
    def places_are_right(self) -> None:
        """How many are before each is how many are taken before it."""
        if not hasattr(self, "room"):
            return
        order = self.model.order()
        for tenant in TENANTS:
            tags = {self.model.tags[flow] for flow in self.model.waiting if flow[1] == tenant}
            mine = [one for one in order if self.room.known[one].tenant == tenant]
            for one in mine if len(tags) < 2 else []:  # after a refusal its classes stand apart: then it is about so
                assert self.run(self.room.queue.before(self.room.known[one])) == order.index(one), (one, order)
        for one in self.expiring:
            assert self.run(self.room.queue.before(self.room.known[one])) is None

    @invariant()
    def sets_are_right(self) -> None:
        """Who waits is in its tenant's queue and in the due set; who has a place upstream is among the open."""
        if not hasattr(self, "room"):
            return
        queued = set(self.in_state(State.QUEUED))
        assert {one for queue in self.model.waiting.values() for _, one in queue} | set(self.expiring) == queued
        assert set(self.run(self.stack.due("submit"))) == queued
        for model_class in CLASSES:
            for tenant in TENANTS:
                found = self.run(self.stack.redis.zrange(keys.waiting(model_class, tenant), 0, -1))
                assert [one.decode() for one in found] == [
                    one for _, one in self.model.waiting.get((model_class, tenant), [])
                ]
        assert {one.decode() for one in self.run(self.stack.redis.zrange(keys.OPEN, 0, -1))} == self.account.slots

    @invariant()
    def books_are_right(self) -> None:
        """What waits holds its tenant's slot and money; what ended while it waited holds nothing any more."""
        if not hasattr(self, "room"):
            return
        month = window_of(self.now_ms).month
        books = Books(self.stack.commands, self.stack.scripts)
        for tenant in TENANTS:
            mine = [one for one in self.room.known.values() if one.tenant == tenant]
            money = Counter(one.money for one in mine)
            ledger = self.run(self.room.ledger.ledger(tenant, month))
            assert ledger.conserved
            found = (ledger.held, ledger.settled, ledger.released)
            assert found == tuple(money[what] * PRICE_MICROS for what in ("held", "settled", "released"))
            unsent = sum(one.closed == "unsent" and one.state is State.CANCELED for one in mine)
            assert ledger.admitted == len(mine) - unsent
            assert self.run(books.slots(tenant)) == {one.id for one in mine if not one.state.ended}


def test_the_queue_does_as_a_plain_model_does(redis_url: str) -> None:
    """Whatever happens in whatever order: nobody is sent too early, too late or out of turn, and nothing is lost."""
    machine = type("Machine", (QueueMachine,), {"redis_url": redis_url})
    # Not explained, only made smaller: explaining traces every line, and takes minutes.
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None, phases=phases, database=None)
    )
