"""The real scripts on a real server, step by step against a plain model: what the ledger promises at every moment."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis as BlockingRedis

from service.domain.limits import LIMITS, Limits, QuotaExceeded, window_of
from service.domain.moves import confirmed, ended_by_gateway, observed, outcome_unknown
from service.domain.predictions import Change, Observation, Prediction, State
from service.domain.tenants import Tenant, TenantState
from service.stores.books import Books
from service.stores.quota_ledger import Admission
from service.usecases.reconcile import Reconcile
from tests.integration.stores.stack import START_MS, Stack, intent, open_stack

TENANTS: Final = ("acme", "beta")

small = st.none() | st.integers(0, 5)
limits_of = st.builds(
    lambda rate, burst, **rest: Limits(rate, burst if rate else None, **rest),
    st.none() | st.integers(1, 90),
    st.none() | st.integers(1, 4),
    concurrency=small,
    daily=small,
    monthly=st.none() | st.integers(0, 12),
    budget_micros=st.none() | st.integers(0, 3_000_000),
    shadow=st.frozensets(st.sampled_from(LIMITS), max_size=2),
)


@dataclass
class ModelTenant:
    """What a tenant has spent, in the plainest terms."""

    limits: Limits = field(default_factory=Limits)
    debt_us: int = 0
    debt_at_us: int = 0
    running: dict[str, int] = field(default_factory=dict)
    money: dict[str, Counter[str]] = field(default_factory=dict)
    usage: Counter[tuple[str, str]] = field(default_factory=Counter)

    def month(self, month: str) -> Counter[str]:
        """The money and counts of a month."""
        return self.money.setdefault(month, Counter())

    def left(self, now_ms: int, price: int) -> dict[str, tuple[int, int]]:
        """What is left of each limit, and what a submission takes of it."""
        limits, window = self.limits, window_of(now_ms)
        month = self.month(window.month)
        found: dict[str, tuple[int, int]] = {}
        if limits.rate_per_minute is not None:
            step, size = self.bucket()
            found["rate"] = ((step * size - self.debt(now_ms)) // step, 1)
        if limits.concurrency is not None:
            found["concurrency"] = (limits.concurrency - len(self.running), 1)
        if limits.daily is not None:
            found["daily"] = (limits.daily - self.usage[window.day, "admitted"], 1)
        if limits.monthly is not None:
            found["monthly"] = (limits.monthly - month["admitted"], 1)
        if limits.budget_micros is not None:
            found["budget"] = (limits.budget_micros - month["held"] - month["settled"], price)
        return found

    def bucket(self) -> tuple[int, int]:
        """Microseconds that one submission costs the rate, and how many fit."""
        per_minute = self.limits.rate_per_minute or 1
        return -(-60_000_000 // per_minute), self.limits.burst or per_minute

    def debt(self, now_ms: int) -> int:
        """What is in the rate's bucket now: it leaks, and never holds more than it has room for."""
        step, size = self.bucket()
        return min(max(0, self.debt_us - (now_ms * 1000 - self.debt_at_us)), step * size)

    def pour(self, now_ms: int) -> None:
        """Put one submission into the rate's bucket."""
        self.debt_us, self.debt_at_us = self.debt(now_ms) + self.bucket()[0], now_ms * 1000

    def book(self, day: str, **changes: int) -> None:
        """Move money and counts."""
        self.month(day[:7]).update(changes)
        for column, amount in changes.items():
            self.usage[day, column] += amount


class QuotaMachine(RuleBasedStateMachine):
    """Random admissions, ends, resends, changes of limits and jumps in time."""

    predictions = Bundle("predictions")
    redis_url: str

    def __init__(self) -> None:
        super().__init__()
        with BlockingRedis.from_url(self.redis_url) as client:
            client.flushdb()
        self.runner = asyncio.Runner()
        self.opened = AsyncExitStack()
        self.stack: Stack = self.run(self.opened.enter_async_context(open_stack(self.redis_url)))
        self.model = {tenant: ModelTenant() for tenant in TENANTS}
        self.count = 0
        for tenant in TENANTS:
            self.run(self.stack.add_tenant(tenant))

    def run(self, coroutine: Any) -> Any:
        """Run one operation of the store to its end."""
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        """Check the books as the cron does, then close what was opened."""
        reconcile = Reconcile(
            self.stack.tenants,
            self.stack.ledger,
            Books(self.stack.commands, self.stack.scripts),
            self.stack.metrics,
            self.stack.clock.s,
        )
        try:
            assert self.run(reconcile()) == 0, "nothing has drifted"
        finally:
            self.run(self.opened.aclose())
            self.runner.close()

    @initialize(acme=limits_of, beta=limits_of)
    def begin(self, acme: Limits, beta: Limits) -> None:
        """Both tenants start with some limits."""
        self.change_limits("acme", acme)
        self.change_limits("beta", beta)

    @rule(tenant=st.sampled_from(TENANTS), limits=limits_of)
    def change_limits(self, tenant: str, limits: Limits) -> None:
        """An operator changes a tenant's limits: the next submission meets them."""
        self.run(self.stack.tenants.update(Tenant(tenant, tenant, TenantState.ACTIVE, START_MS, limits=limits)))
        self.model[tenant].limits = limits

    @rule(seconds=st.sampled_from((0.001, 0.7, 3, 61, 3_000, 90_000)))
    def let_time_pass(self, seconds: float) -> None:
        """Time passes; days and months end. Not so much that a record would have ended its life."""
        if self.stack.clock.now_ms + seconds * 1000 < START_MS + 20 * 86_400_000:
            self.stack.clock.advance(seconds)

    @rule(target=predictions, tenant=st.sampled_from(TENANTS), price=st.sampled_from((0, 1, 400_000, 1_250_000)))
    def admit(self, tenant: str, price: int) -> Prediction | None:
        """A submission is admitted exactly when the model has room for it, and charges all limits or none."""
        self.count += 1
        now_ms, model = self.stack.clock.now_ms, self.model[tenant]
        before = model.left(now_ms, price)
        refusing = {name for name, (left, cost) in before.items() if left < cost and name not in model.limits.shadow}
        wanted = intent(f"p{self.count}", tenant=tenant, price_micros=price)
        if refusing:
            with pytest.raises(QuotaExceeded) as refusal:
                self.run(self.stack.ledger.admit(wanted, 70.0, 3600.0))
            states = refusal.value.states
            assert {state.name for state in states if state.verdict == "refused"} == refusing
            assert {state.name: state.left for state in states} == {name: left for name, (left, _) in before.items()}
            return None
        admission: Admission = self.run(self.stack.ledger.admit(wanted, 70.0, 3600.0))
        day = window_of(now_ms).day
        model.running[wanted.id] = price
        model.book(day, admitted=1, held=price, ever=price)
        if model.limits.rate_per_minute is not None:
            model.pour(now_ms)
        after = {name: left - cost for name, (left, cost) in before.items()}
        assert {state.name: state.left for state in admission.states} == after
        assert admission.prediction.day == day
        return admission.prediction

    @rule(prediction=predictions)
    def admit_again(self, prediction: Prediction | None) -> None:
        """An admission whose answer was lost is sent again: nothing is charged twice."""
        if prediction and self.run(self.stack.predictions.load(prediction.id)):
            self.run(self.stack.ledger.admit(prediction._replace(day=""), 70.0, 3600.0))

    @rule(prediction=consumes(predictions))
    def withdraw(self, prediction: Prediction | None) -> None:
        """What was refused upstream is given back, once."""
        if prediction is None:
            return
        withdrawn = self.run(self.stack.ledger.withdraw(prediction))
        assert withdrawn == (prediction.state is State.SUBMITTING)
        if withdrawn:
            model = self.model[prediction.tenant]
            del model.running[prediction.id]
            price = prediction.price_micros
            model.book(prediction.day, admitted=-1, refused=1, refused_micros=price, held=-price, released=price)
        assert not self.run(self.stack.ledger.withdraw(prediction))

    @rule(target=predictions, prediction=consumes(predictions), kind=st.sampled_from(("confirm", "unknown", "run")))
    def go_on(self, prediction: Prediction | None, kind: str) -> Prediction | None:
        """A prediction goes on without ending: it keeps its slot and its money."""
        if prediction is None:
            return None
        now_ms = self.stack.clock.now_ms
        change = {
            "confirm": lambda: confirmed(prediction, f"up-{prediction.id}", now_ms),
            "unknown": lambda: outcome_unknown(prediction),
            "run": lambda: observed(prediction, Observation("running", "processing", {}), now_ms),
        }[kind]()
        return self.move(prediction, change) if change else prediction

    @rule(prediction=consumes(predictions), end=st.sampled_from((State.COMPLETED, State.FAILED, State.EXPIRED)))
    def end(self, prediction: Prediction | None, end: State) -> None:
        """An end frees the slot; completed settles, failed releases, expired goes on holding. Once."""
        if prediction is None:
            return
        now_ms = self.stack.clock.now_ms
        seen = Observation("completed", "completed", {"outputs": ["https://cdn.example/1.mp4"]})
        change = (
            observed(prediction, seen, now_ms)
            if end is State.COMPLETED
            else ended_by_gateway(prediction, State.FAILED if end is State.FAILED else State.EXPIRED, "ended", now_ms)
        )
        if change is None:
            return
        self.move(prediction, change)
        model, price = self.model[prediction.tenant], prediction.price_micros
        del model.running[prediction.id]
        money = {State.COMPLETED: "settled", State.FAILED: "released"}.get(end)
        model.book(prediction.day, **{end.value: 1}, **({"held": -price, money: price} if money else {}))
        stale = self.run(self.stack.predictions.move(prediction, change, next_look_s=None, event_body=b"{}"))
        assert stale.outcome == "stale"

    def move(self, before: Prediction, change: Change) -> Prediction:
        """Write a change that must go through."""
        moved = self.run(self.stack.predictions.move(before, change, next_look_s=30.0, event_body=b"{}"))
        assert moved.outcome == "moved"
        return change.after

    @invariant()
    def books_agree(self) -> None:
        """Ledger, usage and slots are the model's to the micro-dollar, and money is conserved."""
        for tenant, model in self.model.items():
            for month, expected in model.money.items():
                ledger = self.run(self.stack.ledger.ledger(tenant, month))
                assert ledger.conserved
                found = (ledger.held, ledger.settled, ledger.released, ledger.ever_held, ledger.admitted)
                assert found == tuple(expected[n] for n in ("held", "settled", "released", "ever", "admitted"))
                rows = self.run(self.stack.ledger.usage(tenant, month))
                counted = {
                    (row.day, column): amount for row in rows for column, amount in row.numbers.items() if amount
                }
                assert counted == {
                    key: amount
                    for key, amount in model.usage.items()
                    if amount and key[0].startswith(month) and key[1] != "ever"
                }
            books = Books(self.stack.commands, self.stack.scripts)
            assert self.run(books.slots(tenant)) == set(model.running)
            standing = self.run(self.stack.ledger.standing(tenant, model.limits, self.stack.clock.now_ms))
            assert {state.name: state.left for state in standing} == {
                name: left for name, (left, _) in model.left(self.stack.clock.now_ms, 0).items()
            }


def test_the_scripts_keep_the_books_as_a_plain_model_does(redis_url: str) -> None:
    """Whatever happens in whatever order, limits, money, usage and slots are what simple arithmetic says."""
    machine = type("Machine", (QuotaMachine,), {"redis_url": redis_url})
    # Not explained, only made smaller: explaining traces every line, and takes minutes.
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None, phases=phases, database=None)
    )
