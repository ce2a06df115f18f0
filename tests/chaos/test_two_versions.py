"""The version before this one and this one, on the same Redis at the same time, in either direction."""

import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient

from service.cli.local_system import LocalProcess
from service.domain.limits import window_of
from service.domain.tenant_spec import read_spec
from tests.chaos.submitting import submit
from tests.journeys.system import Receiver, System, free_port
from tests.waiting import wait_until

PREVIOUS: Final = "5095b225cf7f21c59cc61a4232a9c487fcc64db2"
"""The commit that stands for the version before this one; it moves with each release."""

ROOT: Final = Path(__file__).parents[2]
EACH: Final = 24
"""Submissions with the first version alone, with both, and with the second alone."""


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous version's programs, from this repository's history."""
    directory = tmp_path_factory.mktemp("previous")
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", PREVIOUS, "service", "worker"], capture_output=True, check=False
    )
    assert archive.returncode == 0, f"the history lacks the version before this one: {archive.stderr.decode()}"
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
    where = "import service; print(service.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env={**os.environ, **_of(directory)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(directory))
    return directory


def _of(programs: Path | None) -> dict[str, str]:
    """The environment in which a process is of the version that lies in a directory; None: of this one."""
    return {} if programs is None else {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(programs)}


async def _pair(system: System, programs: Path | None) -> tuple[str, list[LocalProcess]]:
    """A gateway and a worker of one version: the gateway's URL, and both."""
    before = dict(system.environment)
    system.environment |= _of(programs)
    port = free_port()
    gateway, worker = await asyncio.gather(system.start_another_gateway(port), system.start_another_worker(free_port()))
    system.environment.clear()
    system.environment |= before
    return f"http://127.0.0.1:{port}", [gateway, worker]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("direction", ["upgrade", "way back"])
async def test_two_versions_side_by_side(
    tmp_path: Path, redis_url: str, receiver: Receiver, previous: Path, direction: str
) -> None:
    """What is submitted through either ends, is read through either, is told once; what one began the other ends."""
    programs = [previous, None] if direction == "upgrade" else [None, previous]
    async with System(tmp_path, redis_url) as system, Httpx2AiohttpClient(timeout=20.0, trust_env=False) as client:
        await system.start_simulator("--balance", "1000000")
        first, firsts = await _pair(system, programs[0])
        key = await system.create_tenant(
            "acme", read_spec({"limits": {"concurrency": 1_000_000, "budget_usd": "9999"}})
        )
        headers = {"authorization": f"Bearer {key}"}
        numbers = iter(range(10 * EACH))
        accepted: dict[int, str] = {}

        async def endpoint(url: str, path: str) -> None:
            body = {"url": f"{receiver.url}/{path}", "events": ["prediction.completed"]}
            assert (await client.post(f"{url}/v1/endpoints", json=body, headers=headers)).status_code == 201

        async def some(*bases: str) -> None:
            for number, _ in zip(numbers, range(EACH), strict=False):
                prompt = f"{'[sim:duration=3]' if number % 2 else ''} wave {number}"
                accepted[number] = await submit(client, bases, key, number, prompt)

        await endpoint(first, "first")
        await some(first)
        second, seconds = await _pair(system, programs[1])
        await endpoint(second, "second")
        await some(first, second)
        for number in list(accepted)[:EACH]:  # a copy of a submission, to the other version, is known there
            prompt = f"{'[sim:duration=3]' if number % 2 else ''} wave {number}"
            assert await submit(client, (second,), key, number, prompt) == accepted[number]
        for base in (first, second):
            for prediction in accepted.values():
                answer = await client.get(f"{base}/api/v3/predictions/{prediction}/result", headers=headers)
                assert answer.status_code == 200
        assert [system.stop(process) for process in firsts] == [0, 0]
        await some(second)

        def told(path: str) -> dict[str, set[str]]:
            ids = defaultdict[str, set[str]](set)
            for callback in receiver.received:
                if callback.path == path:
                    ids[json.loads(callback.body)["data"]["id"]].add(callback.headers["webhook-id"])
            return ids

        everything = set(accepted.values())
        await wait_until(lambda: everything <= told("/first").keys(), timeout_s=60, what="every end is told")
        later = list(accepted.values())[EACH:]
        await wait_until(lambda: set(later) <= told("/second").keys(), what="the later endpoint is told as well")
        assert all(len(ids) == 1 for path in ("/first", "/second") for ids in told(path).values())
        for prediction in everything:
            answer = await client.get(f"{second}/api/v3/predictions/{prediction}/result", headers=headers)
            assert answer.json()["data"]["status"] == "completed"
        assert (await system.seen_upstream())["paid_submissions"] == len(everything) == 3 * EACH
        async with system.resources() as resources:
            ledger = await resources.ledger.ledger("acme", window_of(int(resources.clock() * 1000)).month)
            assert (ledger.conserved, ledger.held, ledger.settled) == (True, 0, 400_000 * 3 * EACH)
            assert await resources.reconcile() == 0
        assert [system.stop(process) for process in seconds] == [0, 0]
    print(f"two versions, {direction}: {len(everything)} predictions, {len(receiver.received)} callbacks")  # noqa: T201
