"""What shows how busy a gateway is: requests being answered, how long they take, and how late its event loop is."""

import asyncio
import time

import pytest

from service.metrics import loop_lag
from service.metrics.loop_lag import watch_loop
from tests.integration.http.gateway import Gateway
from tests.waiting import wait_until


def shown(gateway: Gateway, name: str) -> float:
    """A series without labels."""
    value = gateway.resources.metrics.registry.get_sample_value(f"breakwater_{name}")
    assert value is not None
    return value


async def test_requests_in_flight_count_while_they_are_answered(gateway: Gateway) -> None:
    """A held request counts until it is answered or its client is gone; a probe never does."""
    seen: list[float] = []

    async def probes() -> None:
        for path in ("/metrics", "/livez", "/readyz"):
            await gateway.client.get(path)
            seen.append(shown(gateway, "http_requests_in_flight"))

    await probes()
    answer = await gateway.client.get("/metrics")
    assert "\nbreakwater_http_requests_in_flight 0.0\n" in answer.text, "who asks is not counted"
    held = asyncio.create_task(
        gateway.client.post(
            "/v1/predictions",
            json={"model": "openai/sora-2", "input": {"prompt": "a wave"}},
            headers={"prefer": "wait=30"},
        )
    )
    await wait_until(lambda: shown(gateway, "streams_open") == 1, what="the request is held")
    assert shown(gateway, "http_requests_in_flight") == 1
    await probes()
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    await wait_until(lambda: shown(gateway, "http_requests_in_flight") == 0, what="it is gone")
    assert seen == [0, 0, 0, 1, 1, 1]


async def test_lists_are_not_timed_as_submissions(gateway: Gateway) -> None:
    """What the objective of submissions is measured by moves when one is submitted, and not when they are listed."""
    timed = gateway.resources.metrics.registry.get_sample_value

    def answered(method: str) -> float | None:
        labels = {"route": "/v1/predictions", "method": method}
        return timed("breakwater_http_request_duration_seconds_count", labels)

    submission = {"model": "openai/sora-2", "input": {"prompt": "a wave"}}
    assert (await gateway.client.post("/v1/predictions", json=submission)).status_code == 202
    assert [answered("POST"), answered("GET")] == [1, None]
    for _ in range(3):
        assert (await gateway.client.get("/v1/predictions")).status_code == 200
    assert [answered("POST"), answered("GET")] == [1, 3]


async def test_a_blocked_event_loop_shows(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that fires late because something held the loop up is counted with how late it was."""
    monkeypatch.setattr(loop_lag, "EVERY_S", 0.05)
    metrics = gateway.resources.metrics
    before = shown(gateway, "event_loop_lag_seconds_sum")
    watching = asyncio.create_task(watch_loop(metrics))
    await asyncio.sleep(0)
    blocked_until = time.perf_counter() + 0.25
    while time.perf_counter() < blocked_until:  # as code does that should have been elsewhere
        pass
    await wait_until(lambda: shown(gateway, "event_loop_lag_seconds_sum") >= before + 0.15, what="the lag is counted")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
