"""What the habits of other clients meet at the gateway: nothing they die of, and nothing that is paid twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from redis.asyncio import Redis

from service.domain.api_keys import mint_api_key
from service.domain.tenant_spec import read_spec
from service.usecases.authenticate import CACHE_S
from tests.clients.habits import POLLERS, Died, key_check, post_and_post_again
from tests.journeys.system import SECRET_KEY, System
from tests.waiting import wait_until

MODEL: Final = "/api/v3/openai/sora-2"
ELSEWHERE: Final = "https://router.example"
"""Where callers are told the gateway is: who keeps only paths goes on asking where it asked before."""

TROUBLES: Final = "[sim:poll=500x3][sim:poll=429][sim:poll=cut][sim:poll=malformed][sim:poll=drop][sim:poll=404]"
FLOOD: Final = 500


@pytest.fixture
async def system(tmp_path: Path, redis_url: str) -> AsyncIterator[System]:
    """A system that is told it is elsewhere, and that holds a request for two seconds at most."""
    async with System(tmp_path, redis_url, BREAKWATER_PUBLIC_URL=ELSEWHERE, BREAKWATER_MAX_WAIT_S="2") as system:
        yield system


async def test_a_client_that_posts_again_after_ten_seconds_never_does(system: System) -> None:
    """WaveSpeed itself would be paid for each post; the gateway has answered long before, and posts once."""
    await system.start()
    headers = {"authorization": f"Bearer {SECRET_KEY}"}
    slow = {"prompt": "[sim:delay=1] asked directly, by a client in a greater hurry"}
    async with httpx2.AsyncClient(base_url=system.simulator_url, headers=headers, trust_env=False) as direct:
        assert await post_and_post_again(direct, MODEL, slow, abort_s=0.2) == 6
    assert (await system.seen_upstream())["paid_submissions"] == 6

    began = asyncio.get_running_loop().time()
    posts = await asyncio.gather(
        post_and_post_again(system.client, MODEL, {"prompt": "[sim:delay=7] a strait"}, abort_s=10),
        post_and_post_again(system.client, MODEL, {"prompt": "[sim:stuck]", "enable_sync_mode": True}, abort_s=10),
    )
    assert asyncio.get_running_loop().time() - began < 9
    assert set(posts) == {1}
    assert (await system.seen_upstream())["paid_submissions"] == 6 + 2


async def test_a_client_that_gives_a_synchronous_wait_up_is_paid_for_once(tmp_path: Path, redis_url: str) -> None:
    """Held for as long as may be, it posts again and again; each copy takes over the run that the one before began."""
    async with System(tmp_path, redis_url) as system:
        await system.start()
        body = {"prompt": "[sim:stuck] a wave", "enable_sync_mode": True}
        assert await post_and_post_again(system.client, MODEL, body, abort_s=0.4) == 6
        assert (await system.seen_upstream())["paid_submissions"] == 1


async def test_nobody_who_dies_of_the_first_bad_answer_gets_one(system: System) -> None:
    """Each client's wait ends as its prediction does, whatever WaveSpeed answers meanwhile and whoever has ended it.

    Their looks count against no limit: the tenant's is used up by its submissions.
    """
    await system.start()
    kinds = {"completed": f"{TROUBLES} a swell", "failed": "[sim:fail] a wreck", "canceled": "[sim:stuck] a fog"}
    async with system.resources() as resources:
        await resources.administer.put_tenant("acme", read_spec({"limits": {"daily": len(kinds) * len(POLLERS)}}))
    started = {(one.name, kind): await system.submit(prompt) for one in POLLERS for kind, prompt in kinds.items()}
    assert (await system.client.post(MODEL, json={"prompt": "one too many"})).status_code == 429

    waits = {
        (one.name, kind): asyncio.create_task(one.wait(system.client, started[one.name, kind]))
        for one in POLLERS
        for kind in kinds
    }
    for (_, kind), submitted in started.items():
        if kind == "canceled":
            answer = await system.client.post(f"/v1/predictions/{submitted['id']}/cancel")
            assert answer.status_code == 200, answer.text
    ends: dict[tuple[str, str], dict[str, Any]] = {name: await wait for name, wait in waits.items()}
    for (name, kind), data in ends.items():
        assert data["id"] == started[name, kind]["id"], name
        assert data["status"] == ("completed" if kind == "completed" else "failed"), name
        assert (len(data["outputs"]), bool(data["error"])) == ((1, False) if kind == "completed" else (0, True)), name
        assert data["urls"]["get"] == f"{ELSEWHERE}/api/v3/predictions/{data['id']}/result", name
    assert (await system.seen_upstream())["paid_submissions"] == len(started)


async def test_a_key_is_checked_by_its_balance(system: System) -> None:
    """A good one has a number, wherever it is looked for; any other is told to be none in words that can be shown."""
    await system.start_gateway()
    key = await system.create_tenant()
    for path in ("/api/v3/balance", "/api/v3/account/balance"):
        assert await key_check(system.client, path, key) > 0
        for wrong in (mint_api_key(), "sk-made-up", SECRET_KEY):
            with pytest.raises(Died, match=r"^401 unknown API key$"):
                await key_check(system.client, path, wrong)


async def test_a_client_that_loops_on_a_revoked_key_costs_redis_nothing(system: System, redis: Redis) -> None:
    """Its key is revoked while it waits, and it asks on without a pause: Redis is asked once in five seconds.

    For keys that never were one it is not asked at all.
    """
    await asyncio.gather(system.start_simulator(), system.start_gateway())
    revoked = await system.create_tenant()
    path = f"/api/v3/predictions/{(await system.submit('[sim:stuck] a calm'))['id']}/result"
    async with system.resources() as resources:
        [key] = await resources.administer.list_keys("acme")
        await resources.administer.revoke_key("acme", key.id)

    async def status(key: str) -> int:
        answer = await system.client.get(path, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200 or answer.json() == {"code": 401, "message": "unknown API key"}
        return answer.status_code

    async def refused() -> bool:
        return await status(revoked) == 401

    async def scripts_run() -> int:
        stats = await redis.info("commandstats")
        return sum(int(stats[name]["calls"]) for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)

    await wait_until(refused, what="the key is refused")
    before = await scripts_run()
    began = asyncio.get_running_loop().time()
    assert {await status(revoked) for _ in range(FLOOD)} == {401}
    windows = (asyncio.get_running_loop().time() - began) / CACHE_S
    assert await scripts_run() - before <= windows + 1
    assert await system.metric(system.gateway_url, 'breakwater_authentications_total{result="unknown"}') > FLOOD

    before = await scripts_run()
    assert {await status(f"{revoked[:-6]}{number:06}") for number in range(FLOOD)} == {401}
    assert await scripts_run() == before
    assert await system.metric(system.gateway_url, 'breakwater_authentications_total{result="malformed"}') == FLOOD
