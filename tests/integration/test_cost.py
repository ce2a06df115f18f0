"""What one step of each path costs, counted and not timed: a regression shows on any machine, however busy.

Counted are the calls Python makes (functions of its own and built in) in the process whose step it is, the batches it
sends to Redis (round trips), the commands Redis works on for it (those of its scripts too), and the calls to WaveSpeed.
Each step is made alone: many at a time share round trips, as many as the moment allows, and that could not be counted
the same twice. A budget of calls is a tenth above what was counted when it was set, the others are exact; who needs
more sets it anew, and says why in the commit.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import Any, Final

import pytest
from pydantic_core import to_json
from redis import Redis as BlockingRedis

from service.resources import Resources
from tests.integration.callbacks.post import open_post
from tests.integration.http.conftest import shared_simulator, simulator
from tests.integration.life.life import Life, open_life
from tests.integration.simulator.running import Running

__all__ = ["shared_simulator", "simulator"]

TIMES: Final = 15


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one step."""

    calls: float
    batches: float
    commands: float
    upstream: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.calls:.0f} calls, {self.batches:.2f} batches, {self.commands:.1f} commands of Redis, "
            f"{self.upstream:.2f} calls to WaveSpeed"
        )


BUDGETS: Final = {
    "submit": Cost(3_150, 2, 54, 1),
    "replay": Cost(1_850, 3, 10, 0),
    "read": Cost(550, 1, 1, 0),
    "look": Cost(2_400, 2, 16, 1),
    "settle": Cost(2_850, 3, 39, 1),
    "deliver": Cost(1_870, 4, 47, 0),
}

Step = Callable[[], Awaitable[None]]


@contextmanager
def counted_calls(counted: list[int]) -> Iterator[None]:
    """Count the calls Python makes in this thread."""
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)
        counted.append(calls)


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts what steps cost."""

    resources: Resources
    redis: BlockingRedis
    simulator: Running | None = None

    async def measure(self, step: Step, prepare: Step | None = None) -> Cost:
        """The median cost of a step, each made after a preparation."""
        counts: list[tuple[float, ...]] = []
        for _ in range(TIMES + 1):
            if prepare is not None:
                await prepare()
            await asyncio.sleep(0)  # what the preparation left to be done is done
            before = self._now()
            calls: list[int] = []
            with counted_calls(calls):
                await step()
            after = self._now()
            counts.append((calls[0], *(b - a for a, b in zip(before, after, strict=True))))
        return Cost(*(median(column) for column in zip(*counts[1:], strict=True)))  # the first fills caches

    def _now(self) -> tuple[int, int, int]:
        """Batches, commands of Redis, calls to WaveSpeed so far."""
        stats: Any = self.redis.info("commandstats")
        commands = sum(one["calls"] for name, one in stats.items() if name not in ("cmdstat_info", "cmdstat_ping"))
        requests = sum(self.simulator.seen()["requests"].values()) if self.simulator else 0
        return self.resources.commands.batches_sent, commands, requests


async def ask(app: Any, method: str, path: str, key: str, body: bytes = b"", **headers: str) -> None:
    """Make a request of an application without a client, whose calls would count; it must succeed."""
    told = {"authorization": f"Bearer {key}", "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    statuses: list[int] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    await app(scope, receive, send)
    assert statuses[0] == 200, statuses


def judge(name: str, cost: Cost) -> None:
    """Within the budget; the figure is printed for who sets it anew."""
    budget = BUDGETS[name]
    print(f"{name}: {cost} (budget: {budget})")  # noqa: T201 read by who sets it anew
    for spent, allowed in zip(astuple(cost), astuple(budget), strict=True):
        assert spent <= allowed, f"{name} costs {cost}; its budget is {budget}"


@pytest.fixture
async def metered(redis_url: str, simulator: Running) -> AsyncIterator[tuple[Life, Meter]]:
    """A gateway and a worker, of a tenant with every limit on an account with limits, and a meter."""
    account: dict[str, Any] = {"upstream_per_minute": "5000", "upstream_concurrency": "10000"}
    limits: dict[str, Any] = {
        "rate_per_minute": 1e6,
        "concurrency": 1e5,
        "daily": 10**6,
        "monthly": 10**7,
        "budget_usd": "100000",
    }
    async with open_life(redis_url, simulator, **account) as life:
        await life.gateway.limit(**limits)
        with BlockingRedis.from_url(redis_url) as redis:
            yield life, Meter(life.resources, redis, simulator)


SUBMISSION: Final = to_json({"prompt": "a wave", "aspect_ratio": "9:16"})


async def test_a_submission(metered: tuple[Life, Meter]) -> None:
    """Every limit on, the account's too, straight to WaveSpeed."""
    life, meter = metered
    gateway = life.gateway

    async def step() -> None:
        await ask(gateway.app, "POST", "/api/v3/openai/sora-2", gateway.key, SUBMISSION)

    judge("submit", await meter.measure(step))


async def test_a_replay(metered: tuple[Life, Meter]) -> None:
    """A copy under the same `Idempotency-Key`."""
    life, meter = metered
    gateway = life.gateway

    async def step() -> None:
        path = "/api/v3/openai/sora-2"
        await ask(gateway.app, "POST", path, gateway.key, SUBMISSION, idempotency_key="a-key")

    await step()
    judge("replay", await meter.measure(step))


async def test_a_result_read(metered: tuple[Life, Meter]) -> None:
    """Of a prediction that runs."""
    life, meter = metered
    gateway = life.gateway
    path = f"/api/v3/predictions/{await life.submit()}/result"

    async def step() -> None:
        await ask(gateway.app, "GET", path, gateway.key)

    judge("read", await meter.measure(step))


async def test_a_look(metered: tuple[Life, Meter]) -> None:
    """Leased and looked at: it goes on running."""
    life, meter = metered
    await life.submit("[sim:duration=3600] a wave")
    await life.pass_time(120)

    async def step() -> None:
        assert await life.work() == ["running"]

    async def let_time_pass() -> None:
        life.clock.now_s += 60

    judge("look", await meter.measure(step, let_time_pass))


async def test_a_settle(metered: tuple[Life, Meter]) -> None:
    """Leased and looked at when it is done: the result, the event, the money and the slot."""
    life, meter = metered

    async def submit() -> None:
        await life.submit()
        life.clock.now_s += 120

    async def step() -> None:
        assert await life.work() == ["ended"]

    judge("settle", await meter.measure(step, submit))


class _Ok(BaseHTTPRequestHandler):
    """Accepts every callback, on connections that stay open."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@asynccontextmanager
async def receiver() -> AsyncIterator[str]:
    """A receiver in a thread of its own, whose calls do not count; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ok)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_delivery(redis_url: str) -> None:
    """Leased, signed, sent, and written down."""
    async with open_post(redis_url) as post, receiver() as url:
        answer = await post.client.post("/v1/endpoints", json={"url": url, "events": ["prediction.completed"]})
        assert answer.status_code == 201, answer.text

        async def end() -> None:
            await post.end()

        async def step() -> None:
            assert await post.deliver() == 1

        with BlockingRedis.from_url(redis_url) as redis:
            judge("deliver", await Meter(post.resources, redis).measure(step, end))
