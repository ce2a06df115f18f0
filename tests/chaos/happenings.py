"""What else may happen to a submission in the runs that crash: by name, before it is made or after."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import httpx2
from redis.asyncio import Redis

from service.domain.errors import Conflict, NotFound, ReadFailed, StoreUnavailable
from service.domain.moves import confirmed
from service.domain.predictions import Prediction, State
from service.resources import Resources
from service.stores.quota_ledger import Admission
from service.upstream.payloads import CalledBack, callback_task
from tests.chaos import waiting
from tests.owed import owed_deliveries
from tests.waiting import wait_until
from worker.app import Pools

Before = Callable[[Resources, str], Awaitable[None]]
Happening = Callable[[Resources, Pools, str], Awaitable[None]]

watching: set[asyncio.Task[None]] = set()
"""What goes on in the background."""

PAUSE_MS: Final = 2_600
"""Longer than a command may take."""


async def _pause(resources: Resources, key: str) -> None:
    """Redis answers nothing for longer than anybody waits; who the caller is, is known."""
    await resources.authenticate(key)
    async with Redis.from_url(resources.settings.redis_url.get_secret_value()) as other:
        await other.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")


async def _unheard(resources: Resources, _key: str) -> None:
    """The answer to the next admission is lost, and Redis stays away for two tries to take it back."""
    ledger = resources.ledger
    admit, withdraw = ledger.admit, ledger.withdraw
    losses = {"admit": 1, "withdraw": 2}

    def lost(what: str) -> bool:
        losses[what] -= 1
        return losses[what] >= 0

    async def unheard_admit(*given: Any, **named: Any) -> Admission:
        admission = await admit(*given, **named)
        if lost("admit"):
            raise StoreUnavailable("the answer was lost")
        return admission

    async def unheard_withdraw(*given: Any, **named: Any) -> bool:
        if lost("withdraw"):
            raise StoreUnavailable("still away")
        return await withdraw(*given, **named)

    setattr(ledger, "admit", unheard_admit)  # noqa: B010 a method, which mypy guards
    setattr(ledger, "withdraw", unheard_withdraw)  # noqa: B010


async def _pause_later(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """The same once the submission has been answered early, and its POST is under way."""
    async with Redis.from_url(resources.settings.redis_url.get_secret_value()) as other:
        await other.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")


async def _cut(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """Every connection to Redis is closed from the other side."""
    async with Redis.from_url(resources.settings.redis_url.get_secret_value()) as other:
        await other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def _operator_cancels(resources: Resources, _key: str) -> None:
    """As soon as there is a prediction, and before its submission is answered, an operator cancels it."""

    async def watch() -> None:
        found: list[bytes] = []

        async def there_is_one() -> bool:
            found[:] = await resources.commands("ZRANGE", "bw:tenant:acme:predictions", 0, -1)
            return bool(found)

        await wait_until(there_is_one, what="a prediction")
        await resources.cancel(found[0].decode())

    watching.add(asyncio.create_task(watch()))


async def _foreign_owner(resources: Resources, _key: str) -> None:
    """The upstream is about to answer with a task that is another prediction's."""
    async with httpx2.AsyncClient(base_url=resources.settings.upstream_url, trust_env=False) as upstream:
        seen = (await upstream.get("/_control/state")).json()
    await resources.commands("SET", f"bw:upstream:{seen['next_id']}", "f" * 32, "PX", 600_000)


async def _cancel(resources: Resources, _pools: Pools, prediction_id: str) -> None:
    """Its tenant cancels it."""
    with suppress(Conflict, NotFound):
        await resources.cancel(prediction_id, "acme")


async def _called(resources: Resources) -> CalledBack | None:
    """What the upstream says when it calls back about its one task, None when it has none."""
    async with httpx2.AsyncClient(base_url=resources.settings.upstream_url, trust_env=False) as upstream:
        tasks = (await upstream.get("/_control/state")).json()["submissions"]
    if not tasks:
        return None
    said = {"id": tasks[0]["id"], "status": "completed", "outputs": ["https://cdn.example/1.mp4"]}
    return callback_task(json.dumps(said).encode())


async def _callback(resources: Resources, _pools: Pools, prediction_id: str) -> None:
    """The upstream calls back, again if need be, if it has a task to call back about."""
    found = await resources.commands("ZRANGE", "bw:tenant:acme:predictions", 0, -1)
    called = await _called(resources)
    if called is not None and found:
        await resources.receive_callback(prediction_id or found[0].decode(), called)


async def _put_under(resources: Resources, prediction_id: str, upstream_id: str) -> None:
    """Put a prediction under a task as if the list had shown it to be its own."""
    before = await resources.predictions.load(prediction_id)
    assert before is not None
    await resources.submit.transition(before, lambda p, now: confirmed(p, upstream_id, now, "list"), 3_600.0)


async def _callback_corrects(resources: Resources, pools: Pools, prediction_id: str) -> None:
    """The list had shown another task; the callback says which it is."""
    await _put_under(resources, prediction_id, "another-task-0001")
    await _callback(resources, pools, prediction_id)


async def _callback_takes(resources: Resources, pools: Pools, prediction_id: str) -> None:
    """The list had shown another team's prediction its task; the callback takes it from there."""
    mine = await resources.predictions.load(prediction_id)
    assert mine is not None
    await resources.administer.create_tenant("beta")
    fields = {"id": "e" * 32, "tenant": "beta", "state": State.SUBMITTING, "rev": 0, "callback_url": ""}
    other: Prediction = mine._replace(**fields)  # type: ignore[arg-type]
    await resources.ledger.admit(other, 70.0, 3_600.0)
    called = await _called(resources)
    assert called is not None
    await _put_under(resources, other.id, called.upstream_id)
    await _callback(resources, pools, prediction_id)


async def _breaker(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """Five reads fail just before the first look, and the breaker opens."""
    await asyncio.sleep(1.0)
    for page in range(5):
        with suppress(ReadFailed):
            await resources.upstream.list_tasks("openai/sora-2", 0, 1, page + 1)


async def _cancel_then_breaker(resources: Resources, pools: Pools, prediction_id: str) -> None:
    """Its tenant cancels it, and then the breaker opens."""
    await _cancel(resources, pools, prediction_id)
    await _breaker(resources, pools, prediction_id)


async def _until_owed(resources: Resources, pools: Pools) -> list[str]:
    """Work until the prediction has ended, and do not deliver; the deliveries."""
    while not (found := await owed_deliveries(resources.commands)):
        await pools["poll"].fill()
    return found


async def _endpoint_deleted(resources: Resources, pools: Pools, _prediction_id: str) -> None:
    """The endpoint is deleted between the end and the delivery."""
    await _until_owed(resources, pools)
    await resources.commands("DEL", "bw:tenant:acme:endpoints")


async def _attempts_used_up(resources: Resources, pools: Pools, _prediction_id: str) -> None:
    """Workers have died over every attempt."""
    for delivery in await _until_owed(resources, pools):
        await resources.commands("HSET", f"bw:delivery:{delivery}", "attempts", 99)


async def _delivery_gone(resources: Resources, pools: Pools, _prediction_id: str) -> None:
    """Something is due of which there is no record."""
    await resources.commands("ZADD", "bw:lane:ep_x:due", 1, "gone-1-x")
    await resources.commands("ZADD", "bw:due:deliver", 1, "ep_x")
    await resources.commands("ZADD", "bw:due:poll", 1, "0" * 32)


BEFORE: Final[dict[str, Before]] = {
    "pause": _pause,
    "unheard": _unheard,
    "operator cancels": _operator_cancels,
    "foreign owner": _foreign_owner,
    "waits": waiting.wait,
    "waits, then canceled": waiting.wait,
    "waits, and is canceled when taken out": waiting.wait,
    "waits, and is taken out too early": waiting.wait,
    "reaches nobody": waiting.reach_nobody,
    "refused long ago": waiting.forget_the_bill,
    "waits for ever": waiting.wait,
    "waits, and reaches nobody": waiting.wait_and_reach_nobody,
    "waits, and the bill is paid": waiting.wait_and_pay_the_bill,
    "bill paid": waiting.pay_the_bill,
}
HAPPENINGS: Final[dict[str, Happening]] = {
    "cancel": _cancel,
    "pause later": _pause_later,
    "cut": _cut,
    "callback": _callback,
    "callback corrects": _callback_corrects,
    "callback takes": _callback_takes,
    "breaker": _breaker,
    "cancel, then breaker": _cancel_then_breaker,
    "endpoint deleted": _endpoint_deleted,
    "attempts used up": _attempts_used_up,
    "delivery gone": _delivery_gone,
    "waits": waiting.resume,
    "waits, then canceled": waiting.cancel,
    "waits, and is canceled when taken out": waiting.cancel_when_taken_out,
    "waits, and is taken out too early": waiting.send_late,
    "waits, and reaches nobody": waiting.resume,
    "waits, and the bill is paid": waiting.resume,
    "bill paid": waiting.resume,
    "resumed": waiting.resume,
    "canceled where it waits": waiting.cancel,
}
