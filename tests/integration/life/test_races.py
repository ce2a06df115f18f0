"""Poll, callback, sweep and cancel at the same moment: one settle, one ledger movement, one set of deliveries."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from service.domain.predictions import ENDED
from service.upstream.payloads import callback_task
from tests.integration.life.life import PRICE_MICROS, Life, open_life, with_callbacks
from tests.integration.life.test_upstream_callbacks import body
from tests.integration.simulator.running import Running
from tests.owed import owed_deliveries


@pytest.fixture
async def life(redis_url: str, simulator: Running) -> AsyncIterator[Life]:
    """A process that WaveSpeed calls back."""
    async with open_life(redis_url, simulator, **with_callbacks()) as life:
        yield life


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_is_first_there_is_one_end(life: Life, redis_url: str, simulator: Running, seed: int) -> None:
    """Two processes, each told by every way there is, in any order: the books move once, each receiver is owed once."""
    chance = random.Random(seed)  # noqa: S311
    await life.register()
    answer = await life.gateway.client.post(
        "/api/v3/openai/sora-2?webhook=http://127.0.0.1:9/hook", json={"prompt": "a wave"}
    )
    prediction_id = answer.json()["data"]["id"]
    life.clock.now_s += 60
    called = callback_task(body(life, "completed"))
    assert called is not None
    token = (await life.resources.schedule.lease("poll", 1, 20.0)).token
    async with open_life(redis_url, simulator, **with_callbacks()) as other:
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: life.resources.receive_callback(prediction_id, called),
            lambda: other.resources.receive_callback(prediction_id, called),
            lambda: life.resources.look(prediction_id, token),
            lambda: other.resources.look(prediction_id, token),
            lambda: life.gateway.client.post(f"/v1/predictions/{prediction_id}/cancel"),
            lambda: other.resources.find_stuck.mend(),
        ]
        chance.shuffle(ways)
        await asyncio.gather(*(way() for way in ways * 2))
    prediction = await life.load(prediction_id)
    assert prediction.state in ENDED
    assert (prediction.sequence, prediction.money) == (1, "settled")
    ledger = await life.ledger()
    assert (ledger.held, ledger.settled, ledger.ever_held) == (0, PRICE_MICROS, PRICE_MICROS)
    owed = await owed_deliveries(life.resources.commands)
    receivers = Counter(one.rpartition("-")[2][:3] for one in owed)
    assert receivers == {"cal": 1, "ep_": 1}
    assert await life.resources.reconcile() == 0
    (usage,) = await life.resources.ledger.usage("acme", ledger.month)
    assert sum(usage[end] for end in ("completed", "failed", "canceled", "expired")) == 1
