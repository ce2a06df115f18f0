"""What may happen to a submission that waits for the account, in the runs that crash."""

import asyncio
from contextlib import suppress
from typing import Final

from yarl import URL

from service.domain.errors import Conflict, NotFound, ReadFailed, StoreUnavailable
from service.resources import Resources
from service.stores import keys
from service.usecases.submit_queued import LATE_S
from service.usecases.watch_account import TRY_ANYWAY_S
from tests.waiting import wait_until
from worker.app import Pools

NOBODY: Final = URL("http://127.0.0.1:9/api/v3/openai/sora-2")
"""Where no connection is to be had."""

going_on: set[asyncio.Task[None]] = set()
"""What goes on in the background."""


async def wait(resources: Resources, _key: str) -> None:
    """An operator has paused the account: whatever is submitted waits."""
    await resources.pause_account.pause("a drill")


async def resume(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """The operator lets submissions go on."""
    await resources.pause_account.resume()


async def cancel(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """Its tenant cancels whatever it has submitted."""
    for found in await resources.commands("ZRANGE", "bw:tenant:acme:predictions", 0, -1):
        with suppress(Conflict, NotFound):
            await resources.cancel(found.decode(), "acme")


async def cancel_when_taken_out(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """Its tenant cancels it between its being taken out of the queue and its being sent."""
    await resources.pause_account.resume()
    leased = await resources.queue.lease(1)
    await cancel(resources, _pools, _prediction_id)
    for one in leased.ids:
        await resources.submit_queued(one, leased.token)


async def send_late(resources: Resources, _pools: Pools, _prediction_id: str) -> None:
    """Its worker stands still between taking it out of the queue and sending it."""
    await resources.pause_account.resume()
    leased = await resources.queue.lease(1)
    late_s = resources.clock() + LATE_S
    await wait_until(lambda: resources.clock() > late_s, what="it is late")
    for one in leased.ids:
        await resources.submit_queued(one, leased.token)


async def wait_and_reach_nobody(resources: Resources, key: str) -> None:
    """The account is paused, and once it is not, the first connection to it is refused."""
    await wait(resources, key)
    await reach_nobody(resources, key)


async def reach_nobody(resources: Resources, _key: str) -> None:
    """The first connection to the account is refused."""
    upstream, refusals = resources.upstream, iter([NOBODY])
    submit_url = upstream._submit_url
    setattr(upstream, "_submit_url", lambda model: next(refusals, None) or submit_url(model))  # noqa: B010 a method, which mypy guards


async def pay_the_bill(resources: Resources, _key: str) -> None:
    """From now on the account is looked after: a refused one that has money is tried again."""

    async def watch() -> None:
        while True:
            with suppress(ReadFailed, StoreUnavailable):
                await resources.watch_account()
            await asyncio.sleep(0.02)

    going_on.add(asyncio.create_task(watch()))


async def forget_the_bill(resources: Resources, key: str) -> None:
    """The account was refused long ago; from now on it is looked after."""
    refused_ms = int((resources.clock() - TRY_ANYWAY_S - 1) * 1000)
    await resources.commands("HSET", keys.ACCOUNT, "paused_by", "account", "paused_at", refused_ms)
    await pay_the_bill(resources, key)


async def wait_and_pay_the_bill(resources: Resources, key: str) -> None:
    """Both."""
    await wait(resources, key)
    await pay_the_bill(resources, key)
