"""`serve --workers 2` when its processes are killed: replaced, their counters kept, and none of them left alone."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from service.cli.local_system import LocalSystemFailed
from tests.journeys.gateway_crew import (
    Series,
    ask,
    at_once,
    directories,
    lines,
    listening,
    pids,
    requests_of,
    runs,
    scrape,
    shows_streams,
    start_two,
)
from tests.journeys.system import System
from tests.waiting import wait_until

REQUESTS: Final = 60


@pytest.fixture
async def system(tmp_path: Path, redis_url: str) -> AsyncIterator[System]:
    """A system whose temporary files are its own."""
    (tmp_path / "tmp").mkdir()
    async with System(tmp_path, redis_url, TMPDIR=str(tmp_path / "tmp")) as system:
        yield system


def of_counters(series: Series) -> Series:
    """What must never go back."""
    kinds = ("_total", "_count", "_sum", "_bucket")
    return {named: value for named, value in series.items() if named[0].endswith(kinds)}


def went_back(before: Series, after: Series) -> Series:
    """Counters that show less than they did, and what they show now."""
    return {named: after.get(named, 0.0) for named, value in before.items() if after.get(named, 0.0) < value}


async def test_who_is_killed_is_replaced_and_counters_never_go_back(system: System) -> None:
    """After a SIGKILL of either the counters stand where they stood and go on, and a successor answers.

    What the dead one had open is gone from the gauges.
    """
    await system.start_simulator()
    gateway = await start_two(system)
    await system.create_tenant()
    key = {"authorization": f"Bearer {system.key}"}
    for _ in range(REQUESTS // 20):
        assert {one.status_code for one in await at_once(20, system.gateway_url, "/v1/quota", headers=key)} == {200}

    # One of them holds a stream and dies with it, whichever that is: both do, one after the other.
    prediction = (await system.submit("a mole"))["id"]
    async with system.client.stream("GET", f"/v1/predictions/{prediction}/events") as stream:
        assert stream.status_code == 200
        await wait_until(lambda: shows_streams(system.gateway_url, 1), what="the stream is counted, whoever is asked")
        before = of_counters(await scrape(system.gateway_url))
        first = pids(gateway)
        for place in (0, 1):
            os.kill(first[place], signal.SIGKILL)
            await wait_until(lambda: listening(gateway)[f"gateway-{place}"] == 2, what="a successor listens")  # noqa: B023
            for _ in range(4):
                assert went_back(before, await scrape(system.gateway_url)) == {}
    await wait_until(lambda: shows_streams(system.gateway_url, 0), what="the stream is gone with whoever had it")
    assert set(first.values()).isdisjoint(pids(gateway).values())

    assert {one.status_code for one in await at_once(20, system.gateway_url, "/v1/quota", headers=key)} == {200}
    for _ in range(4):
        after = await scrape(system.gateway_url)
        assert went_back(before, after) == {}
        assert requests_of(after, "/v1/quota") == REQUESTS + 20
    assert system.stop(gateway) == 0


async def test_they_end_with_whoever_started_them(system: System) -> None:
    """Should the process that looks after them be killed, they drain by themselves, and the port is free again."""
    await system.start_simulator()
    gateway = await start_two(system)
    children = pids(gateway)
    system.kill(gateway)
    await wait_until(lambda: not any(runs(pid) for pid in children.values()), what="both have ended")
    successor = await start_two(system)
    assert (await ask(system.gateway_url, "/livez")).status_code == 200
    assert len(directories(Path(system.environment["TMPDIR"]))) == 1, "what was left behind is removed"
    assert system.stop(successor) == 0


async def test_what_no_restart_mends_ends_them_all(system: System, tmp_path: Path) -> None:
    """Gateways that cannot work as things are set are not started again: the status says so, and the reason is told."""
    await system.start_simulator()
    gateway = await system.start_gateway("readyz")
    assert system.stop(gateway) == 0  # whose key is the right one from now on
    system.environment["BREAKWATER_ENCRYPTION_KEY"] = "b29vb29vb29vb29vb29vb29vb29vb29vb29vb29vb28="
    with pytest.raises(LocalSystemFailed):
        await system.start_gateway("readyz", "--workers", "2")
    log = (tmp_path / "gateway.log").read_text()
    assert "BREAKWATER_ENCRYPTION_KEY" in log
    assert '"event":"a gateway ended and is started again"' not in log


async def test_one_that_cannot_be_started_takes_nobody_along(system: System) -> None:
    """While there is no room for a dead one's successor the other serves on; the successor is there when there is."""
    await system.start_simulator()
    gateway = await start_two(system)
    [directory] = directories(Path(system.environment["TMPDIR"]))
    directory.rename(directory.with_name("away"))
    os.kill(pids(gateway)[0], signal.SIGKILL)
    await wait_until(lambda: lines(gateway, "a gateway cannot be started"), what="it is tried in vain")
    assert {one.status_code for one in await at_once(4, system.gateway_url, "/livez")} == {200}
    directory.with_name("away").rename(directory)
    await wait_until(lambda: listening(gateway)["gateway-0"] == 2, what="a successor listens")
    assert system.stop(gateway) == 0
