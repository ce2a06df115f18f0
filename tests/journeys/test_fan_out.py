"""From an end to a team's receivers, through real processes: tried, rotated, retried, sent again, and isolated."""

import asyncio
from typing import Any

from pydantic_core import from_json
from standardwebhooks import Webhook

from tests.integration.cli_calls import process as command
from tests.journeys.system import Receiver, System, free_port
from tests.waiting import wait_until


async def register(system: System, url: str, **fields: Any) -> dict[str, Any]:
    """Register an endpoint; the answer, with its secret."""
    answer = await system.client.post("/v1/endpoints", json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def read(system: System, path: str, **query: str) -> dict[str, Any]:
    """Read something as the team."""
    answer = await system.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_a_team_looks_after_its_endpoint(system: System, receiver: Receiver) -> None:
    """Test it, rotate its secret, see a delivery fail and succeed, send it again, read the log: all verified with the
    official library by the secret that was shown.
    """
    await system.start()
    endpoint = await register(system, f"{receiver.url}/videos", events=["prediction.completed"])
    tried = (await system.client.post(f"/v1/endpoints/{endpoint['id']}/test")).json()
    assert (tried["state"], tried["attempt"]["status"]) == ("delivered", 204)
    rotated = (await system.client.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret")).json()
    receiver.received.clear()
    receiver.answer = lambda callback: 503 if callback.headers["webhook-attempt"] == "1" else 204
    data = await system.submit("a quay")
    await wait_until(lambda: len(receiver.received) == 2, what="it is tried twice")
    for callback in receiver.received:
        for secret in (endpoint["secret"], rotated["secret"]):
            event = Webhook(secret).verify(callback.body, callback.headers)
            assert event["data"]["id"] == data["id"]
    (delivery,) = (await read(system, "/v1/deliveries", prediction_id=data["id"]))["data"]

    async def delivered() -> dict[str, Any] | None:
        shown = await read(system, f"/v1/deliveries/{delivery['id']}")
        return shown if shown["state"] == "delivered" else None

    shown = await wait_until(delivered, what="it is written down")
    assert [attempt["status"] for attempt in shown["attempts_made"]] == [503, 204]
    assert (await system.client.post(f"/v1/deliveries/{delivery['id']}/resend")).status_code == 202
    await wait_until(lambda: len(receiver.received) == 3, what="it is sent again")
    assert len({callback.headers["webhook-id"] for callback in receiver.received}) == 1
    events = (await read(system, "/v1/events", types="prediction.completed"))["data"]
    assert [event["id"] for event in events] == [receiver.received[0].headers["webhook-id"]]
    assert events[0]["data"] == from_json(receiver.received[0].body)["data"]


async def test_a_receiver_that_hangs_delays_nobody(system: System, receiver: Receiver) -> None:
    """One never answers, one is not there: the third is told of every end, long before the first one's timeout."""
    over = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    hanging = await asyncio.start_server(hang, "127.0.0.1", free_port())
    async with hanging:
        await system.start()
        await register(system, f"http://127.0.0.1:{hanging.sockets[0].getsockname()[1]}/")
        await register(system, f"http://127.0.0.1:{free_port()}/")
        await register(system, f"{receiver.url}/videos", events=["prediction.completed"])
        started = [await system.submit(f"a mole {number}") for number in range(12)]
        ids = {data["id"] for data in started}

        def told() -> set[str]:
            return {from_json(callback.body)["data"]["id"] for callback in receiver.received}

        await wait_until(lambda: told() == ids, timeout_s=30, what="the healthy one knows of all of them")
        over.set()


async def test_an_operator_tests_an_endpoint(system: System, receiver: Receiver) -> None:
    """The command reaches it through the running worker, and tells what its receiver did."""
    await system.start()
    endpoint = await register(system, f"{receiver.url}/videos")
    receiver.answer = lambda _: 418
    result = await asyncio.to_thread(command, "endpoint", "test", "acme", endpoint["id"], **system.environment)
    assert result.returncode == 0, result.stderr
    assert "rejected: the receiver answered 418" in result.stdout
    (callback,) = receiver.received
    assert Webhook(endpoint["secret"]).verify(callback.body, callback.headers)["type"] == "endpoint.test"


async def test_nobody_is_told_twice_by_two_workers(system: System, receiver: Receiver) -> None:
    """Two workers share every lane: each message is sent once, with nothing in the way."""
    await system.start()
    await system.start_another_worker(free_port())
    await register(system, f"{receiver.url}/videos", events=["prediction.completed"])
    ids = {(await system.submit(f"a jetty {number}"))["id"] for number in range(20)}
    await wait_until(lambda: len(receiver.received) >= len(ids), timeout_s=30, what="all are told")
    assert len(receiver.received) == len({callback.headers["webhook-id"] for callback in receiver.received})
