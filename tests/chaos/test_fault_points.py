"""A process dies before and after every await on the way from a submission to its callback: nothing is paid twice."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from service.domain.limits import window_of
from service.domain.predictions import State
from service.embedded_redis import embedded_server
from service.resources import Resources, open_resources
from service.settings import Settings
from simulator.state import Options
from tests.chaos.crashing import Run, fast_clock
from tests.chaos.fault_points import places
from tests.chaos.scenarios import OFF_THE_WAY, SCENARIOS, Scenario
from tests.conftest import TEST_SERVER
from tests.integration.http.gateway import ENCRYPTION_KEY
from tests.integration.simulator.running import KEY, VIDEO_S, Running, serving
from tests.journeys.system import Callback, Receiver

LANES: Final = 4
"""How many runs go on at once, each with a Redis server, a simulator and a receiver of its own."""

TRIES: Final = 3
"""How often a scenario is made to reach a point it has passed: what several tasks do at once may go otherwise."""

PRICE: Final = 400_000


class NotReached(Exception):
    """A run went to its end without passing the point at which it was to die."""


class Lane:
    """A system of its own, in which one run after another is made."""

    def __init__(
        self, resources: Resources, simulator: Running, receiver: Receiver, zygote: asyncio.subprocess.Process
    ) -> None:
        self.resources = resources
        self.simulator = simulator
        self.receiver = receiver
        self._zygote = zygote
        self._refusing, self._refuse_with = 0, 500
        receiver.answer = self._answer
        self.settings: dict[str, Any] = {}
        self.clock_start: list[float] = []

    def _answer(self, _: Callback) -> int:
        self._refusing -= 1
        return self._refuse_with if self._refusing >= 0 else 204

    def _url(self, path: str) -> str:
        """An address of the receiver, by name: so that it is looked up."""
        return f"http://localhost:{self.receiver.port}/{path}"

    async def reset(self, scenario: Scenario) -> str:
        """An empty system with one tenant and its endpoint; the tenant's key."""
        await self.resources.commands("FLUSHDB")
        await self.resources.commands("SCRIPT", "FLUSH")  # a server that has just started knows none
        await asyncio.to_thread(self.simulator.control, "POST", "reset")
        self.receiver.received.clear()
        for fault in scenario.faults:
            await asyncio.to_thread(self.simulator.control, "POST", "faults", **fault)
        self._refusing, self._refuse_with = scenario.refuse_callbacks, scenario.refuse_with
        tenant = await self.resources.administer.create_tenant("acme")
        await self.resources.register_endpoint(tenant, self._url("endpoint"), [])
        return (await self.resources.administer.create_key("acme", "test"))[1]

    async def run(self, settings: Mapping[str, Any], **fields: Any) -> tuple[int, list[list[str]]]:
        """Make one run; how it ended, and what was told."""
        run = Run({**self.settings, **settings}, self.clock_start, webhook=self._url("callback"), **fields)
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(asdict(run)).encode() + b"\n")
        await self._zygote.stdin.drain()
        answer = json.loads(await self._zygote.stdout.readline())
        return answer["status"], answer["told"]

    async def crash(self, scenario: Scenario, die_at: str) -> list[str]:
        """Run a scenario with a crash, start again, and judge what came of it; what a run without one passes."""
        key = await self.reset(scenario)
        submit = {"key": key, "prompt": scenario.prompt, "idempotency_key": "once", "switch": scenario.switch}
        if scenario.after_death_at:
            status, told = await self.run(scenario.settings, **submit, die_at=scenario.after_death_at)
            assert (status, told) == (-9, [])
        how = {"then": scenario.then, "answer_within_s": scenario.answer_within_s, "die_at": die_at}
        status, told = await self.run(scenario.settings, **submit, **how)
        if die_at and status == 0:
            raise NotReached
        assert status == (-9 if die_at else 0), (scenario.name, die_at, told)
        assert not [one for one in told if one[0] == "overdue"], (scenario.name, die_at)
        answers = [told_one for told_one in told if told_one[0] in ("accepted", "refused")]
        if die_at:
            # A careful caller that got no answer asks again under the same idempotency key; one that got one does not.
            again = {"key": key} if answers else submit
            status, told_again = await self.run(scenario.settings, **again, then=scenario.again)
            assert status == 0, (scenario.name, die_at, told_again)
            assert not [one for one in told_again if one[0] == "overdue"], (scenario.name, die_at)
            answers += [one for one in told_again if one[0] in ("accepted", "refused")]
        await self.judge(scenario, answers)
        return [hit for what, hit in told if what == "hit"]

    async def judge(self, scenario: Scenario, answers: list[list[str]]) -> None:
        """Count everything: the upstream's count is the judge of what was paid."""
        paid = self.simulator.seen()["paid_submissions"]
        assert paid <= 1, "paid twice"
        known = [one async for one in self.resources.reconcile.books.predictions("acme")]
        accepted = {value for what, value in answers if what == "accepted"}
        assert len(known) <= 1
        assert accepted <= {one.id for one in known}, "an accepted prediction is lost"
        ledger = await self.resources.ledger.ledger("acme", window_of(int(self.resources.clock() * 1000)).month)
        assert ledger.conserved
        assert (ledger.held, await self.resources.commands("ZCARD", "bw:tenant:acme:slots")) == (0, 0)
        assert await self.resources.commands("ZCARD", "bw:open") == 0
        assert await self.resources.commands("KEYS", "bw:waiting:*") == [], "somebody waits for ever"
        assert await self.resources.reconcile() == 0
        if not known:
            assert paid == 0
            return
        prediction = await self.resources.predictions.load(known[0].id)
        assert prediction is not None
        assert prediction.state in (scenario.ends if paid else scenario.unpaid), (paid, prediction.state)
        settled = prediction.state is State.COMPLETED or prediction.closed in ("completed", "orphaned")
        assert ledger.settled == (PRICE if settled else 0)
        assert bool(paid) >= settled
        if scenario.told:
            self.judge_callbacks(scenario, prediction.id, prediction.state)

    def judge_callbacks(self, scenario: Scenario, prediction_id: str, state: State) -> None:
        """Every receiver was told of the end, under one id, however often."""
        told = Counter((one.path, one.headers["webhook-id"]) for one in self.receiver.received)
        ends = [one for one in self.receiver.received if f'"prediction.{state}"'.encode() in one.body]
        assert len({one.headers["webhook-id"] for one in ends}) == 1, "one settle, one event"
        called_back = scenario.switch != "enable_base64_output"
        assert [path for path, _ in told].count("/callback") == called_back, "the request's own callback, under one id"
        assert (told["/callback", prediction_id] >= 1) is called_back


@asynccontextmanager
async def open_lane(directory: Path) -> AsyncIterator[Lane]:
    """Open one lane; what it does to its Redis server is felt by no other."""
    start = [time.time(), time.monotonic()]
    clock = fast_clock(start)
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(embedded_server(None, directory, binary=os.environ.get(TEST_SERVER)))
        url = stack.enter_context(serving(Options(video_s=VIDEO_S), clock))
        receiver = await stack.enter_async_context(Receiver().running())
        values: dict[str, Any] = {
            "redis_url": redis_url,
            "upstream_url": url,
            "wavespeed_api_key": KEY,
            "encryption_key": ENCRYPTION_KEY,
            "signing_key": "signs-our-ids-in-urls",
            "public_url": "http://gateway",
            "callback_allow": "127.0.0.1/32,::1/128,http:localhost",
            "poll_scale": 0.05,
            "retry_scale": 0.001,
            "upstream_concurrency": 2,
            "upstream_per_minute": "100",
        }
        secrets = {name: SecretStr(values[name]) for name in ("redis_url", "wavespeed_api_key")}
        keys = {name: (SecretStr(values[name]),) for name in ("encryption_key", "signing_key")}
        settings = Settings(**{**values, **secrets, **keys})
        resources = await stack.enter_async_context(open_resources(settings, clock))
        zygote = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.crashing",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        lane = Lane(resources, Running(url), receiver, zygote)
        lane.settings, lane.clock_start = values, start
        try:
            yield lane
        finally:
            assert zygote.stdin is not None
            zygote.stdin.close()
            await zygote.wait()


@pytest.mark.timeout(600)
async def test_a_crash_between_every_two_awaits(tmp_path: Path) -> None:
    """Each await on the way is found in the source, must be passed by a scenario, and is crashed before and after."""
    every = places()
    async with AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(open_lane(tmp_path / str(number))) for number in range(LANES)]
        passed = await in_lanes(lanes, [([scenario], "") for scenario in SCENARIOS])
        on_the_way = {place for place in every if not place.startswith(tuple(OFF_THE_WAY))}
        reached = {hit.split(" ")[0] for hits in passed for hit in hits}
        assert on_the_way <= reached, f"no scenario passes {sorted(on_the_way - reached)}"
        crashes: list[tuple[list[Scenario], str]] = []
        crashed: set[str] = set()
        for scenario, hits in zip(SCENARIOS, passed, strict=True):
            wanted = [hit for hit in hits if hit not in crashed or hit.startswith(scenario.thorough)]
            crashes += [([scenario] * TRIES + others(scenario, hit, passed), hit) for hit in wanted]
            crashed.update(hits)
        await in_lanes(lanes, crashes)
    print(  # noqa: T201
        f"fault points: {len(every)} awaits found, {len(on_the_way)} of them on the way, all passed by"
        f" {len(SCENARIOS)} scenarios; {len(crashes)} crashes before and after them: nothing paid twice, nothing lost"
    )


def others(scenario: Scenario, hit: str, passed: list[list[str]]) -> list[Scenario]:
    """Other scenarios that passed a point: this one may have passed it by chance, and not again."""
    return [one for one, hits in zip(SCENARIOS, passed, strict=True) if hit in hits and one is not scenario]


async def crash_once(lane: Lane, scenarios: list[Scenario], die_at: str) -> list[str]:
    """Crash at a point in the first of these scenarios that reaches it; what was passed."""
    for scenario in scenarios:
        try:
            return await lane.crash(scenario, die_at)
        except NotReached:
            continue
    raise AssertionError("never reached again")


async def in_lanes(lanes: list[Lane], runs: list[tuple[list[Scenario], str]]) -> list[list[str]]:
    """Make every run in the next lane that is free; what each of them passed."""
    passed: dict[int, list[str]] = {}
    failures: list[str] = []
    todo = iter(enumerate(runs))

    async def work(lane: Lane) -> None:
        for number, (scenarios, die_at) in todo:
            try:
                passed[number] = await crash_once(lane, scenarios, die_at)
            except AssertionError as failed:
                failures.append(f"{scenarios[0].name}, died at {die_at or 'no point'}: {failed}")

    await asyncio.gather(*(work(lane) for lane in lanes))
    assert not failures, "\n\n".join(failures)
    return [hits for _, hits in sorted(passed.items())]
