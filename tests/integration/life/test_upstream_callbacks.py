"""WaveSpeed's callbacks: signed by it, for an address signed by us; everything else does nothing."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest
from pydantic import SecretStr
from pydantic_core import to_json
from redis.asyncio import Redis

from service.domain.moves import confirmed
from service.domain.predictions import State
from service.domain.webhook_signature import wavespeed_headers
from tests.integration.life.life import PRICE_MICROS, PUBLIC_URL, Life, open_life, with_callbacks
from tests.integration.simulator.running import KEY, Running
from tests.waiting import wait_until


@pytest.fixture
async def life(redis_url: str, simulator: Running) -> AsyncIterator[Life]:
    """A gateway that WaveSpeed calls back."""
    async with open_life(redis_url, simulator, **with_callbacks()) as life:
        yield life


async def secret(life: Life) -> str:
    """What the upstream signs with."""
    async with life.simulator.client(KEY) as client:
        return str((await client.get("/api/v3/webhook/secret")).json()["data"]["secret"])


def task(life: Life, number: int = -1) -> dict[str, Any]:
    """One of the account's tasks as the simulator saw it; the newest, if none is named."""
    found: dict[str, Any] = life.simulator.seen()["submissions"][number]
    return found


def address(life: Life, number: int = -1) -> str:
    """Where the upstream was told to call back about a task."""
    (url,) = parse_qs(str(task(life, number)["query"]))["webhook"]
    return url


def body(life: Life, status: str = "completed", number: int = -1, **more: Any) -> bytes:
    """What the upstream would send."""
    outputs = {"outputs": ["https://cdn.example/1.mp4"]} if status == "completed" else {"error": "moderation"}
    return to_json({"id": task(life, number)["id"], "status": status, "input": {"prompt": "a wave"}, **outputs, **more})


async def call_back(
    life: Life, content: bytes, url: str = "", *, key: str = "", at_s: float | None = None
) -> httpx2.Response:
    """Call back, signed as the upstream signs."""
    now_s = int(life.clock() if at_s is None else at_s)
    headers = wavespeed_headers(key or await secret(life), task(life)["id"], now_s, content)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(life.gateway.app), trust_env=False) as anybody:
        return await anybody.post(url or address(life), content=content, headers=headers)


async def test_each_submission_names_an_address_of_its_own(life: Life) -> None:
    """`?webhook=` is ours, with the prediction's id signed; the tenant's own callback stays here."""
    ids = [await life.submit(), await life.submit()]
    urls = [address(life, 0), address(life, 1)]
    for prediction_id, url in zip(ids, urls, strict=True):
        assert url.startswith(f"{PUBLIC_URL}/callbacks/wavespeed/{prediction_id}.")
        assert life.resources.callback_ids is not None
        assert life.resources.callback_ids.read(url.rpartition("/")[2]) == prediction_id


async def test_without_the_setting_nothing_is_asked_for(redis_url: str, simulator: Running) -> None:
    """Off, no address goes out, and without a signing key there is no way in."""
    async with open_life(redis_url, simulator) as life:
        await life.submit()
        assert "webhook" not in task(life)["query"]
        assert (await life.gateway.client.post("/callbacks/wavespeed/x", content=b"{}")).status_code == 404


async def test_switched_off_it_still_takes_what_was_asked_for(redis_url: str, simulator: Running) -> None:
    """With the signing key in place, callbacks that are still on their way are taken."""
    async with open_life(redis_url, simulator, **with_callbacks()) as life:
        prediction_id = await life.submit()
    async with open_life(redis_url, simulator, signing_key=with_callbacks()["signing_key"]) as life:
        assert (await call_back(life, body(life))).status_code == 200
        assert (await life.load(prediction_id)).state is State.COMPLETED


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_a_callback_settles_as_a_poll_would(life: Life, status: str) -> None:
    """Result, event, ledger: all there without a look; the input it repeats is not stored with the answer."""
    await life.register()
    prediction_id = await life.submit()
    assert (await call_back(life, body(life, status))).status_code == 200
    result = await life.gateway.result(prediction_id)
    assert result["status"] == status
    assert "input" not in result
    assert await life.owed() == {f"prediction.{status}"}
    ledger = await life.ledger()
    assert (ledger.held, ledger.settled if status == "completed" else ledger.released) == (0, PRICE_MICROS)
    assert task(life)["reads"] == 0
    assert life.sample("breakwater_upstream_callbacks_total", outcome="settled") == 1


async def test_a_repeated_callback_does_nothing(life: Life) -> None:
    """The upstream may send one several times: one settle, one event, one ledger movement."""
    await life.register()
    prediction_id = await life.submit()
    for _ in range(3):
        assert (await call_back(life, body(life))).status_code == 200
    assert (await life.load(prediction_id)).sequence == 1
    assert (await life.ledger()).settled == PRICE_MICROS
    assert life.sample("breakwater_upstream_callbacks_total", outcome="repeated") == 2


async def test_one_that_comes_before_the_confirmation_confirms_then_settles(life: Life) -> None:
    """The answer was lost, the callback tells which task it is, and how it ended."""
    life.simulator.arm("submit", "lost")
    prediction_id = await life.submit()
    assert (await life.load(prediction_id)).state is State.UNCONFIRMED
    assert (await call_back(life, body(life, created_at="2027-01-15T08:00:00.123456789Z"))).status_code == 200
    after = await life.load(prediction_id)
    assert (after.state, after.evidence, after.upstream_id) == (State.COMPLETED, "callback", task(life)["id"])
    assert after.started_at_ms == 1_800_000_000_123


async def test_one_that_comes_while_the_post_is_under_way(redis_url: str, simulator: Running) -> None:
    """The later answer confirms what is known already, and changes nothing."""
    async with open_life(redis_url, simulator, answer_within_s=0.05, **with_callbacks()) as life:
        prediction_id = await life.submit("[sim:delay=1] a wave")
        await wait_until(lambda: bool(life.simulator.seen()["submissions"]), what="the upstream has it")
        assert (await call_back(life, body(life))).status_code == 200
        await life.resources.submit.drain(10)
        after = await life.load(prediction_id)
        assert (after.state, after.evidence, life.paid()) == (State.COMPLETED, "callback", 1)


@pytest.mark.parametrize("forged", ["wrong secret", "no secret", "old", "early", "changed body", "no headers"])
async def test_a_forged_or_replayed_one_does_nothing(life: Life, forged: str) -> None:
    """Not signed with the upstream's secret, or not within 300 s: 401, and nothing changes."""
    prediction_id = await life.submit()
    content = body(life)
    match forged:
        case "wrong secret":
            answer = await call_back(life, content, key="whsec_somebodyelsessecret")
        case "no secret":
            answer = await call_back(life, content, key="whsec_")
        case "old":
            answer = await call_back(life, content, at_s=life.clock() - 301)
        case "early":
            answer = await call_back(life, content, at_s=life.clock() + 301)
        case "changed body":
            headers = wavespeed_headers(await secret(life), "x", int(life.clock()), content)
            answer = await life.gateway.client.post(address(life), content=content + b" ", headers=headers)
        case _:
            answer = await life.gateway.client.post(address(life), content=content)
    assert answer.status_code == 401
    assert (await life.load(prediction_id)).state is State.CREATED
    assert life.sample("breakwater_upstream_callbacks_total", outcome="forged") == 1


async def test_an_address_that_is_not_ours_is_not_even_read(life: Life) -> None:
    """A wrong signature of the id is a 404, before anything is looked up; a tenant's key changes nothing."""
    await life.submit()
    forged = address(life)[:-2] + "xx"
    assert (await call_back(life, body(life), forged)).status_code == 404
    assert (await life.gateway.client.post("/callbacks/wavespeed/" + "0" * 32, content=b"x")).status_code == 404


async def test_one_about_another_task_does_nothing(life: Life) -> None:
    """The upstream's word about one task, sent to another's address, is foreign."""
    ids = [await life.submit("one"), await life.submit("two")]
    answer = await call_back(life, body(life, number=1), address(life, 0))
    assert answer.status_code == 200
    for prediction_id in ids:
        assert (await life.load(prediction_id)).state is State.CREATED
    assert life.sample("breakwater_upstream_callbacks_total", outcome="foreign") == 1
    assert life.sample("breakwater_transitions_total", outcome="foreign") == 1


async def test_one_about_another_task_confirms_nobody(life: Life) -> None:
    """An unconfirmed submission is not put under a task that is another prediction's by its own answer."""
    confirmed = await life.submit("one")
    life.simulator.arm("submit", "lost")
    unconfirmed = await life.submit("two")
    assert (await call_back(life, body(life, number=0), address(life, 1))).status_code == 200
    assert (await life.load(unconfirmed)).upstream_id == ""
    assert (await life.load(confirmed)).upstream_id == task(life, 0)["id"]


async def claimed_wrongly(life: Life, prediction_id: str, upstream_id: str) -> None:
    """Put an unconfirmed prediction under a task as if the list had shown it to be its own."""
    before = await life.load(prediction_id)
    after = await life.resources.submit.transition(before, lambda p, now: confirmed(p, upstream_id, now, "list"))
    assert after.upstream_id == upstream_id


async def test_a_callback_outranks_another_s_claim_from_the_list(life: Life) -> None:
    """The task goes to the prediction that was called back; the one that had it is looked for again."""
    life.simulator.arm("submit", "status", status=503)
    other = await life.submit("one")
    life.simulator.arm("submit", "lost")
    mine = await life.submit("two")
    await claimed_wrongly(life, other, task(life)["id"])
    assert (await call_back(life, body(life))).status_code == 200
    assert (await life.load(mine)).state is State.COMPLETED
    after = await life.load(other)
    assert (after.state, after.upstream_id) == (State.UNCONFIRMED, "")
    assert (await life.gateway.result(other))["status"] == "created"
    await life.pass_time(1_900)
    assert (await life.load(other)).state is State.FAILED


async def test_a_callback_outranks_its_own_claim_from_the_list(life: Life) -> None:
    """What was called back at its own address is its task, whatever the list seemed to say."""
    life.simulator.arm("submit", "lost")
    mine = await life.submit("one")
    async with life.simulator.client(KEY) as client:
        foreign = (await client.post("/api/v3/openai/sora-2", json={"prompt": "one"})).json()["data"]["id"]
    await claimed_wrongly(life, mine, foreign)
    assert (await call_back(life, body(life, number=0), address(life, 0))).status_code == 200
    after = await life.load(mine)
    assert (after.state, after.evidence, after.upstream_id) == (State.COMPLETED, "callback", task(life, 0)["id"])
    assert await life.resources.predictions.owner_of(foreign) == ""


async def test_a_better_claim_is_not_taken_away(life: Life) -> None:
    """A task that is known by an answer stays where it is, whatever a callback's address says."""
    mine = await life.submit("one")
    life.simulator.arm("submit", "lost")
    other = await life.submit("two")
    assert (await call_back(life, body(life, number=0), address(life, 1))).status_code == 200
    assert ((await life.load(mine)).evidence, (await life.load(other)).upstream_id) == ("answer", "")


async def test_a_given_up_one_stays_given_up(life: Life) -> None:
    """A callback after the end of all patience is counted, and the tenant's answer stays what it was."""
    life.simulator.arm("list", "status", status=500, times=10_000)
    life.simulator.arm("submit", "lost")
    prediction_id = await life.submit()
    await life.pass_time(1_900)
    assert (await life.load(prediction_id)).state is State.FAILED
    assert (await call_back(life, body(life))).status_code == 200
    assert (await life.load(prediction_id)).state is State.FAILED
    assert life.sample("breakwater_upstream_callbacks_total", outcome="too_late") == 1


async def test_one_of_a_prediction_that_is_gone(life: Life, redis: Redis) -> None:
    """Nothing is revived."""
    prediction_id = await life.submit()
    await redis.delete(f"bw:prediction:{prediction_id}")
    assert (await call_back(life, body(life))).status_code == 200
    assert await redis.exists(f"bw:prediction:{prediction_id}") == 0


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"id": 7}', b'{"id": "../../x", "status": "completed"}', b"\xff"]
)
async def test_one_that_names_no_task_is_a_400(life: Life, content: bytes) -> None:
    """Signed, and still no prediction: refused in words, nothing changes."""
    prediction_id = await life.submit()
    assert (await call_back(life, content)).status_code == 400
    assert (await life.load(prediction_id)).state is State.CREATED


async def test_a_huge_one_is_refused(life: Life) -> None:
    """Nobody fills our memory through this door."""
    await life.submit()
    assert (await call_back(life, b"x" * 1_048_577)).status_code == 413


async def test_polling_is_a_sparse_safety_net(redis_url: str, simulator: Running) -> None:
    """With callbacks the looks are fewer; one that never comes is made up for."""
    looks = []
    for fields in ({}, with_callbacks()):
        simulator.reset()
        async with open_life(redis_url, simulator, **fields) as life:
            prediction_id = await life.submit("[sim:stuck] a wave")
            looks.append(len(await life.pass_time(1_500)))
            life.finish(all=True)
            await life.pass_time(200)
            assert (await life.load(prediction_id)).state is State.COMPLETED
            await life.resources.commands("FLUSHDB")
    assert looks[1] * 2.5 <= looks[0]


class TestSecret:
    """The upstream's secret: fetched, cached, fetched again when it may have changed."""

    async def test_it_is_fetched_once(self, life: Life) -> None:
        """A hundred callbacks cost one call."""
        await life.submit()
        before = life.sample("breakwater_upstream_calls_total", operation="webhook_secret", outcome="ok")
        for _ in range(20):
            await call_back(life, body(life))
        after = life.sample("breakwater_upstream_calls_total", operation="webhook_secret", outcome="ok")
        assert after - before == 1

    async def test_a_flood_of_forgeries_fetches_it_no_more_than_twice_a_minute(self, life: Life) -> None:
        """A wrong signature may mean a new secret; asking for it again is bounded."""
        await life.submit()
        for _ in range(30):
            await call_back(life, body(life), key="whsec_somebodyelsessecret")
        calls = life.sample("breakwater_upstream_calls_total", operation="webhook_secret", outcome="ok")
        assert calls <= 2

    async def test_a_new_secret_is_found_out_and_the_old_one_stays_good_for_a_week(self, life: Life) -> None:
        """Callbacks signed before the change still count, for seven days; those signed after it at once."""
        await life.submit()
        assert (await call_back(life, body(life))).status_code == 200
        old = await secret(life)
        life.simulator.control("POST", "rotate-secret")
        life.clock.now_s += 31
        assert (await call_back(life, body(life))).status_code == 200
        assert (await call_back(life, body(life), key=old)).status_code == 200
        life.clock.now_s += 7 * 86_400
        assert (await call_back(life, body(life))).status_code == 200
        assert (await call_back(life, body(life), key=old)).status_code == 401

    async def test_a_restarted_gateway_still_knows_the_previous_one(
        self, life: Life, redis_url: str, simulator: Running
    ) -> None:
        """What was found out is kept for all gateways, encrypted."""
        await life.submit()
        await call_back(life, body(life))
        old = await secret(life)
        life.simulator.control("POST", "rotate-secret")
        life.clock.now_s += 31
        await call_back(life, body(life))
        stored = str(await life.resources.commands("HGETALL", "bw:upstream-secret"))
        assert old not in stored
        assert await secret(life) not in stored
        async with open_life(redis_url, simulator, **with_callbacks()) as restarted:
            assert (await call_back(restarted, body(life), key=old)).status_code == 200

    async def test_while_it_is_not_to_be_had_the_upstream_is_told_to_come_back(self, life: Life) -> None:
        """A gateway that cannot verify says 503: nothing is lost, the upstream sends it again."""
        prediction_id = await life.submit()
        signed = await secret(life)
        life.simulator.arm("secret", "status", status=500, times=1)
        answer = await call_back(life, body(life), key=signed)
        assert answer.status_code == 503
        assert (await call_back(life, body(life), key=signed)).status_code == 200
        assert (await life.load(prediction_id)).state is State.COMPLETED

    async def test_a_known_one_is_used_while_the_upstream_is_away(self, life: Life) -> None:
        """An outage does not make good signatures bad."""
        await life.submit()
        signed = await secret(life)
        await call_back(life, body(life), key=signed)
        life.clock.now_s += 3_700
        life.simulator.arm("secret", "status", status=500, times=100)
        assert (await call_back(life, body(life), key=signed)).status_code == 200


async def test_our_own_keys_are_nowhere_to_be_seen(redis_url: str, simulator: Running, redis: Redis) -> None:
    """Neither the signing key nor the upstream's secret stands in Redis or in an answer."""
    key = "canary-signing-key-000"
    async with open_life(redis_url, simulator, **with_callbacks(signing_key=(SecretStr(key),))) as life:
        prediction_id = await life.submit()
        answer = await call_back(life, body(life))
        stored = [await redis.dump(name) or b"" for name in await redis.keys()]
        seen = b"".join(stored) + answer.content + str(await life.native(prediction_id)).encode()
        assert key.encode() not in seen
        assert (await secret(life)).encode() not in seen
