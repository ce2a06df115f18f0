"""`serve --workers 2`: two processes on one port that look like one, also to Prometheus and to who ends them.

tests/chaos/test_gateway_crew.py kills them.
"""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.gateway_crew import at_once, directories, lines, requests_of, scrape, shows_streams, start_two
from tests.journeys.system import System
from tests.waiting import wait_until

REQUESTS: Final = 60


async def test_two_count_as_one(tmp_path: Path, redis_url: str) -> None:
    """Whoever is asked shows every request of both, and what both have open; no file is left when they end."""
    (tmp_path / "tmp").mkdir()
    async with System(tmp_path, redis_url, TMPDIR=str(tmp_path / "tmp")) as system:
        await system.start_simulator()
        gateway = await start_two(system)
        await system.create_tenant()
        key = {"authorization": f"Bearer {system.key}"}
        for _ in range(REQUESTS // 20):
            assert {one.status_code for one in await at_once(20, system.gateway_url, "/v1/quota", headers=key)} == {200}
        answered = Counter(line["process"] for line in lines(gateway, "request"))
        assert set(answered) == {"gateway-0", "gateway-1"}, "both had work to do"
        for _ in range(8):
            shown = await scrape(system.gateway_url)
            read = (("method", "GET"), ("route", "/v1/quota"))
            assert requests_of(shown, "/v1/quota") == REQUESTS
            assert shown["breakwater_http_request_duration_seconds_count", read] == REQUESTS
            assert [value for (name, _), value in shown.items() if name == "breakwater_build_info"] == [1]

        prediction = (await system.submit("a mole"))["id"]
        async with system.client.stream("GET", f"/v1/predictions/{prediction}/events") as stream:
            assert stream.status_code == 200
            await wait_until(
                lambda: shows_streams(system.gateway_url, 1), what="the stream is counted, whoever is asked"
            )
        await wait_until(lambda: shows_streams(system.gateway_url, 0), what="it is closed")
        assert len(directories(tmp_path / "tmp")) == 1
        assert system.stop(gateway) == 0
        assert directories(tmp_path / "tmp") == []


async def test_a_signal_under_load_fails_no_request(tmp_path: Path, redis_url: str) -> None:
    """SIGTERM reaches both: red at once, answered to the end of the grace, everything in flight finished, status 0."""
    (tmp_path / "tmp").mkdir()
    settings = {"TMPDIR": str(tmp_path / "tmp"), "BREAKWATER_SHUTDOWN_GRACE_S": "600"}
    async with System(tmp_path, redis_url, **settings) as system:
        await system.start_simulator()
        gateway = await start_two(system)
        await system.create_tenant()
        stop, statuses = asyncio.Event(), list[int]()

        async def submit_until_told() -> None:
            while not stop.is_set():
                answer = await system.client.post("/api/v3/openai/sora-2", json={"prompt": "[sim:delay=0.2] a pier"})
                statuses.append(answer.status_code)

        load = [asyncio.create_task(submit_until_told()) for _ in range(16)]
        await wait_until(lambda: len(statuses) >= 32, what="the load is on")
        gateway.process.send_signal(signal.SIGTERM)

        async def red() -> bool:
            return {one.status_code for one in await at_once(6, system.gateway_url, "/readyz")} == {503}

        await wait_until(red, what="nobody is ready")
        answered = len(statuses)
        await wait_until(lambda: len(statuses) >= answered + 32, what="it answers all the same")
        stop.set()  # as a load balancer would; every client has one request in flight
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*load)
        assert set(statuses) == {200}
        assert await asyncio.to_thread(gateway.process.wait, 20) == 0
        assert len({one["process"] for one in lines(gateway, "gateway drained")}) == 2


@pytest.mark.parametrize("count", ["0", "65", "two"])
async def test_a_number_that_makes_no_sense_is_refused(count: str) -> None:
    """As many as one machine serves with, and at least one."""
    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "serve", "--workers", count), stderr=asyncio.subprocess.PIPE
    )
    _, told = await ended.communicate()
    assert ended.returncode == 2
    assert b"--workers" in told
