"""What the caller is told for each thing that WaveSpeed can answer, and what is left behind."""

import asyncio

import pytest
from redis.asyncio import Redis

from service.domain.predictions import State
from tests.integration.http.gateway import Gateway, open_gateway, posts_seen, settings
from tests.integration.simulator.running import MODEL, Running
from tests.journeys.system import free_port
from tests.waiting import wait_until


async def predictions_left(redis: Redis) -> list[bytes]:
    """The keys that belong to a prediction or owe work."""
    left = [key async for key in redis.scan_iter(count=1000)]
    return sorted(key for key in left if b"prediction" in key or b"due" in key or b"upstream" in key)


async def test_a_refusal_passes_with_its_reason(gateway: Gateway, simulator: Running, redis: Redis) -> None:
    """The upstream's 400 is the caller's, in words and status; the record is gone."""
    answer = await gateway.submit("[sim:explode]")
    assert answer.status_code == 400
    assert answer.json() == {"code": 400, "message": "unknown directive [sim:explode]"}
    assert posts_seen(simulator) == 1
    assert await predictions_left(redis) == []


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_fault_of_the_account_is_ours(gateway: Gateway, simulator: Running, redis: Redis, status: int) -> None:
    """503 with Retry-After, without the upstream's words: no tenant can mend our key or our credit."""
    answer = await gateway.submit(f"[sim:submit={status}]")
    assert (answer.status_code, answer.json()["code"]) == (503, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert "simulated" not in answer.text
    assert await predictions_left(redis) == []
    assert posts_seen(simulator) == 1


async def test_used_up_capacity_is_nobodys_refusal(gateway: Gateway, simulator: Running) -> None:
    """The caller has an id, and its submission waits, not sent again before the upstream wants to hear of it."""
    simulator.arm("submit", "status", status=429, retry_after=30)
    data = await gateway.submitted()
    assert data["status"] == "created"
    record = await gateway.resources.predictions.load(data["id"])
    assert record is not None
    assert record.state is State.QUEUED
    state = await gateway.resources.queue.state()
    assert 25_000 < state.blocked_until_ms - gateway.resources.clock() * 1000 <= 30_000
    assert posts_seen(simulator) == 1


async def test_a_refused_connection_leaves_nothing(redis_url: str, redis: Redis) -> None:
    """503 with Retry-After; nothing of the submission is left but its line in the books, and it may be tried again."""
    async with open_gateway(settings(redis_url, f"http://127.0.0.1:{free_port()}")) as gateway:
        before = {key async for key in redis.scan_iter()}
        answer = await gateway.submit()
        assert (answer.status_code, answer.json()["code"]) == (503, 503)
        assert int(answer.headers["retry-after"]) > 0
        books = {key async for key in redis.scan_iter() if b":ledger:" in key or b":usage:" in key}
        assert {key async for key in redis.scan_iter()} - books == before


@pytest.mark.parametrize("fault", ["malformed", "cut", "lost"])
async def test_an_ambiguous_answer_is_a_created_prediction(gateway: Gateway, simulator: Running, fault: str) -> None:
    """It runs and is paid for: the caller gets an id to read, and nothing is ever posted twice."""
    data = await gateway.submitted(f"[sim:submit={fault}]")
    assert (data["status"], data["error"], data["outputs"]) == ("created", "", [])
    assert (await gateway.result(data["id"]))["status"] == "created"
    assert posts_seen(simulator) == 1


async def test_ambiguity_owes_a_look(gateway: Gateway, redis: Redis) -> None:
    """A prediction that nobody confirmed stays in the due set."""
    data = await gateway.submitted("[sim:submit=500]")
    assert await redis.zscore("bw:due:poll", data["id"]) is not None


async def test_a_hanging_upstream_is_not_waited_for(redis_url: str, simulator: Running) -> None:
    """The caller is answered within the bound; the POST goes on, and what comes of it is written down."""
    async with open_gateway(settings(redis_url, simulator.url), answer_within_s=0.05) as gateway:
        data = await gateway.submitted("[sim:delay=0.5] a wave")
        assert data["status"] == "created"
        assert len(gateway.resources.submit.running) == 1

        async def owner() -> bytes | None:
            found: bytes | None = await gateway.resources.commands("GET", f"bw:upstream:{started['id']}")
            return found

        [started] = await wait_until(lambda: simulator.seen()["submissions"], what="the POST arrives")
        assert await wait_until(owner, what="the POST is confirmed") == data["id"].encode()
        assert (await gateway.result(data["id"]))["status"] == "created"
        assert posts_seen(simulator) == 1


async def test_a_refusal_after_the_answer_ends_the_prediction(redis_url: str, simulator: Running) -> None:
    """The caller has an id: it reads `failed` with the reason."""
    async with open_gateway(settings(redis_url, simulator.url), answer_within_s=0) as gateway:
        data = await gateway.submitted("[sim:submit=400]")
        assert data["status"] == "created"
        await asyncio.gather(*gateway.resources.submit.running)
        failed = await gateway.result(data["id"])
        assert (failed["status"], failed["outputs"]) == ("failed", [])
        assert "simulated 400" in failed["error"]
        assert posts_seen(simulator) == 1


async def test_a_fault_of_the_account_after_the_answer_lets_it_wait(redis_url: str, simulator: Running) -> None:
    """Its caller has an id already: it waits until the account is in order, and whoever comes then is told."""
    async with open_gateway(settings(redis_url, simulator.url), answer_within_s=0) as gateway:
        data = await gateway.submitted("[sim:submit=401]")
        await asyncio.gather(*gateway.resources.submit.running)
        assert (await gateway.result(data["id"]))["status"] == "created"
        assert (await gateway.resources.queue.state()).waiting == 1
        refused = await gateway.submit()
        assert refused.status_code == 503
        assert "paused" in refused.json()["message"]
        assert posts_seen(simulator) == 1


async def test_a_drain_waits_for_posts_in_flight(redis_url: str, simulator: Running) -> None:
    """What was answered early is still written down before the gateway ends."""
    async with open_gateway(settings(redis_url, simulator.url), answer_within_s=0) as gateway:
        await gateway.submitted("[sim:delay=0.2] a wave")
        submit = gateway.resources.submit
        assert len(submit.running) == 1
    assert submit.running == set()
    assert simulator.seen()["paid_submissions"] == 1


async def test_one_caller_s_trouble_is_its_own(gateway: Gateway, simulator: Running) -> None:
    """Among many at once, each gets the answer to its own submission, and each is posted once."""
    prompts = [f"[sim:submit={fault}]" for fault in ("400", "422", "500", "lost")] + ["a wave"]
    answers = await asyncio.gather(*(gateway.submit(prompt) for prompt in prompts * 5))
    assert [answer.status_code for answer in answers] == [400, 422, 200, 200, 200] * 5
    ids = [answer.json()["data"]["id"] for answer in answers if answer.status_code == 200]
    assert len(set(ids)) == 15
    assert posts_seen(simulator) == 25
    assert (await gateway.client.get("/metrics")).text.count(f'model="{MODEL}"') >= 3
