"""The main job with one part failing: what the client, the receiver and the simulator see."""

import asyncio
from pathlib import Path
from typing import Final

from service.embedded_redis import embedded_server
from tests.fault_proxy import FaultProxy
from tests.journeys.system import Receiver, System, free_port
from tests.waiting import wait_until

_ANSWERED: Final = 'breakwater_upstream_calls_total{operation="result",outcome="ok"}'
"""The series that counts looks WaveSpeed has answered."""


async def _endpoint(system: System, receiver: Receiver) -> None:
    """Register the receiver for every event."""
    answer = await system.client.post("/v1/endpoints", json={"url": f"{receiver.url}/events"})
    assert answer.status_code == 201, answer.text


def _ends_of(receiver: Receiver, prediction_id: str) -> list[str]:
    """The webhook ids with which the receiver was told of an end."""
    return [
        c.headers["webhook-id"]
        for c in receiver.received
        if prediction_id.encode() in c.body and (b"prediction.completed" in c.body or b"prediction.failed" in c.body)
    ]


async def test_a_failed_prediction_is_told_as_failed(system: System, receiver: Receiver) -> None:
    """The client reads `failed` with the reason, and the receiver is told so."""
    await system.start()
    await _endpoint(system, receiver)
    data = await system.submit("[sim:fail] a lighthouse")
    done = await system.ended(data["id"])
    assert done["status"] == "failed"
    assert done["error"]
    await wait_until(lambda: _ends_of(receiver, data["id"]), what="the callback arrives")


async def test_no_upstream_trouble_while_polling_reaches_the_client(system: System) -> None:
    """5xx, 429, malformed and cut bodies, a dropped connection, a 404 and a hang are looked through, never judged."""
    await system.start()
    troubles = ("500x3", "429x2", "malformedx2", "cutx2", "dropx2", "404x2", "hangx1")
    started = await asyncio.gather(*(system.submit(f"[sim:poll={trouble}] a wave") for trouble in troubles))
    ended = await asyncio.gather(*(system.ended(data["id"], timeout_s=40) for data in started))
    assert [data["status"] for data in ended] == ["completed"] * len(troubles)
    assert (await system.seen_upstream())["paid_submissions"] == len(troubles)


async def test_a_receiver_that_was_down_is_told_later(system: System) -> None:
    """Attempts go on until the receiver is there; the webhook id stays the same."""
    await system.start()
    receiver = Receiver()
    await _endpoint(system, receiver)
    data = await system.submit("a pier")
    await system.ended(data["id"])
    async with receiver.running():
        receiver.answer = lambda _: 503 if len(receiver.received) <= 2 else 204
        await wait_until(lambda: len(_ends_of(receiver, data["id"])) >= 2, timeout_s=30, what="a retry arrives")
    assert len(set(_ends_of(receiver, data["id"]))) == 1


async def test_a_killed_worker_s_prediction_is_settled_by_the_next(
    system: System, receiver: Receiver, redis_proxy: FaultProxy
) -> None:
    """SIGKILL between the look's answer and the settle loses nothing: the lease ends, another worker settles, once."""
    await asyncio.gather(system.start_simulator(), system.start_gateway())
    await system.create_tenant()
    await _endpoint(system, receiver)
    worker = await system.start_worker(BREAKWATER_REDIS_URL=redis_proxy.url)
    await system.upstream.post(
        "/_control/faults", json={"operation": "result", "fault": "delay", "seconds": 1, "times": 1}
    )
    data = await system.submit("a harbour")

    async def looked() -> bool:
        return bool((await system.seen_upstream())["requests"].get("result"))

    await wait_until(looked, what="the worker looks")
    redis_proxy.blackhole()  # the worker will hear that the video is there, and can write nothing down
    await wait_until(lambda: system.worker_metric(_ANSWERED), what="the look is answered")
    system.kill(worker)
    assert (await system.result(data["id"]))["status"] in ("created", "processing")
    await system.start_worker()
    assert (await system.ended(data["id"], timeout_s=35))["status"] == "completed"
    await wait_until(lambda: _ends_of(receiver, data["id"]), what="the callback arrives")
    assert len(set(_ends_of(receiver, data["id"]))) == 1
    assert (await system.seen_upstream())["paid_submissions"] == 1


async def test_a_restarted_gateway_knows_everything(system: System) -> None:
    """A gateway is stateless: SIGKILL it, start it again, and the result is there."""
    await asyncio.gather(system.start_simulator(), system.start_worker())
    gateway = await system.start_gateway()
    await system.create_tenant()
    data = await system.submit("a buoy")
    system.kill(gateway)
    await system.start_gateway()
    assert (await system.ended(data["id"]))["status"] == "completed"
    assert (await system.seen_upstream())["paid_submissions"] == 1


async def test_an_accepted_submission_whose_answer_is_lost_is_not_sent_again(system: System) -> None:
    """The client gets an id and reads `created`; the upstream saw one paid submission, and never sees a second."""
    await system.start(worker=False)
    data = await system.submit("[sim:submit=lost] a reef")
    assert data["status"] == "created"
    assert (await system.result(data["id"]))["status"] == "created"
    seen = await system.seen_upstream()
    assert (seen["paid_submissions"], seen["requests"]["submit"]) == (1, 1)


async def test_a_hanging_upstream_does_not_hang_the_client(system: System) -> None:
    """The answer comes within 6 seconds with an id, while the submission goes on by itself."""
    await system.start()
    loop = asyncio.get_running_loop()
    started = loop.time()
    data = await system.submit("[sim:delay=7] a strait")
    assert loop.time() - started < 6.5
    assert data["status"] == "created"
    assert (await system.ended(data["id"], timeout_s=30))["status"] == "completed"
    assert (await system.seen_upstream())["paid_submissions"] == 1


async def test_sigterm_drains_both(system: System) -> None:
    """A gateway told to stop answers what it has; gateway and worker end with status 0."""
    await system.start_simulator()
    worker = await system.start_worker()
    gateway = await system.start_gateway()
    await system.create_tenant()
    submitting = asyncio.create_task(system.submit("[sim:delay=2] a tide"))

    async def arrived() -> bool:
        return bool((await system.seen_upstream())["requests"].get("submit"))

    await wait_until(arrived, what="the submission is on its way")
    assert await asyncio.to_thread(system.stop, gateway) == 0
    data = await submitting
    await system.start_gateway()
    assert (await system.ended(data["id"]))["status"] == "completed"
    assert await asyncio.to_thread(system.stop, worker) == 0


async def test_redis_may_come_last(tmp_path: Path) -> None:
    """Gateway and worker start without Redis, say so, and work as soon as it is there."""
    port = free_port()
    async with System(tmp_path, f"redis://127.0.0.1:{port}/0") as system:
        await asyncio.gather(
            system.start_simulator(), system.start_gateway(probe="livez"), system.start_worker(probe="livez")
        )
        assert (await system.client.get("/readyz")).status_code == 503
        refused = await system.client.post(
            "/api/v3/openai/sora-2", json={"prompt": "x"}, headers={"authorization": f"Bearer {_some_key()}"}
        )
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        with embedded_server(port, tmp_path / "redis"):

            async def ready() -> bool:
                return (await system.client.get("/readyz")).status_code == 200

            await wait_until(ready, what="the gateway is ready")
            await system.create_tenant()
            data = await system.submit("a dawn")
            assert (await system.ended(data["id"], timeout_s=30))["status"] == "completed"


def _some_key() -> str:
    """A well-formed key nobody was given."""
    from service.domain.api_keys import mint_api_key

    return mint_api_key()


async def test_another_encryption_key_ends_the_start_as_a_failure(system: System) -> None:
    """A gateway or worker whose key is not the store's ends by itself, with a status that says so and a reason."""
    await asyncio.gather(system.start_simulator(), system.start_gateway())
    system.environment |= {"BREAKWATER_ENCRYPTION_KEY": "b" * 43 + "="}
    for process in (await system.start_another_gateway(free_port(), "livez"), await system.start_worker("livez")):
        assert await asyncio.to_thread(process.process.wait, 30) == 1
        assert "BREAKWATER_ENCRYPTION_KEY" in process.log_file.read_text().splitlines()[-1]
