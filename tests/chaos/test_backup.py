"""Redis is copied while everything runs, lost, and restored by the commands of the documentation."""

import asyncio
import os
import re
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient
from pydantic_core import from_json
from redis.asyncio import Redis

from service.domain.limits import window_of
from service.domain.predictions import ENDED, Prediction, State
from service.domain.tenant_spec import read_spec
from service.embedded_redis import embedded_server, find_binary
from service.resources import Resources
from service.stores.keys import due
from tests.chaos.sentinels import MASTER, Sentinels
from tests.chaos.submitting import submit
from tests.conftest import TEST_SERVER
from tests.journeys.system import Callback, Receiver, System
from tests.waiting import wait_until

PAGE: Final = Path(__file__).parents[2] / "docs" / "backup.md"
SUBMITTERS: Final = 12
BEFORE: Final = 120
"""Submissions answered before the copy is begun."""

PRICE: Final = 400_000
PROMPTS: Final = ("", "", "", "[sim:fail]", "[sim:duration=4]", "[sim:duration=8]")


@dataclass(slots=True)
class Accepted:
    """Ids by the number of the submission, and those that were answered before the copy was begun."""

    ids: dict[int, str] = field(default_factory=dict)
    before_the_copy: frozenset[str] = frozenset()


def commands(name: str) -> str:
    """A block of commands of the page, as it stands there."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, f"docs/backup.md has no block {name}"
    return found[1]


async def run(block: str, **environment: str) -> None:
    """Run a block of commands; the first that fails, fails the test."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", block),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 40)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, said.decode()


PASSWORD: Final = "of-the-one-who-copies"


async def let_copy(url: str) -> dict[str, str]:
    """Make the user of the page, by its line as it stands there; the environment in which it copies from a server."""
    found = re.search(r"^ACL SETUSER (backup) .*$", PAGE.read_text(), re.MULTILINE)
    assert found, "docs/backup.md has no user who copies"
    async with Redis.from_url(url) as client:
        await client.execute_command(*found[0].replace(">PASSWORD", f">{PASSWORD}").split())
        await client.config_set("repl-diskless-sync-delay", "0")  # else it waits 5 s whether anybody else wants a copy
    server = urlsplit(url)
    return {
        "REDIS_HOST": server.hostname or "",
        "REDIS_PORT": str(server.port),
        "REDIS_USER": found[1],
        "REDISCLI_AUTH": PASSWORD,
    }


def assert_private(directory: Path) -> None:
    """Nobody but its owner may read what is in a directory."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    assert files
    assert all(file.stat().st_mode & 0o077 == 0 for file in files), [
        file for file in files if file.stat().st_mode & 0o077
    ]


@pytest.mark.parametrize("replica_follows", [True, False])
async def test_behind_sentinel_the_copy_is_a_replica_s(tmp_path: Path, replica_follows: bool) -> None:
    """It is taken from the replica that sentinels name, and from the primary while none follows."""
    async with Sentinels(tmp_path / "redis") as servers:
        primary, replica = servers.nodes
        for port in servers.nodes:
            copying = await let_copy(f"redis://127.0.0.1:{port}")
        async with Redis(port=primary) as client:
            await client.set("bw:something", "worth keeping")
            assert await client.wait(1, 10_000) == 1
        if not replica_follows:
            await servers.kill(replica)
            await wait_until(lambda: _link_is_lost(servers.sentinels[0]), what="the sentinel notices")
        address = {
            "SENTINEL_HOST": "127.0.0.1",
            "SENTINEL_PORT": str(servers.sentinels[0]),
            "BREAKWATER_REDIS_MASTER": MASTER,
        }
        del copying["REDIS_HOST"], copying["REDIS_PORT"]
        block = commands("sentinel") + commands("backup") + 'echo "$REDIS_PORT" > "$BACKUP/port"\n'
        (backup := tmp_path / "backup").mkdir()
        await run(block, BACKUP=str(backup), **address, **copying)
        port = replica if replica_follows else primary
        assert int((backup / "port").read_text()) == port
        async with Redis(port=port) as client:
            assert await client.acl_log() == [], "the user may all that it takes"
    assert_private(backup)
    assert b"worth keeping" in (backup / "breakwater.rdb").read_bytes()


async def _link_is_lost(sentinel: int) -> bool:
    """Whether a sentinel knows that no replica follows."""
    async with Redis(port=sentinel) as client:
        [replica] = await client.sentinel_slaves(MASTER)  # type: ignore[no-untyped-call]
    return replica["is_sdown"] is True


@pytest.mark.timeout(150)
async def test_a_restored_copy_goes_on(tmp_path: Path, receiver: Receiver) -> None:
    """Every prediction of the copy reaches its end and is told of, the ledger balances, nothing is paid twice."""
    binary = os.environ.get(TEST_SERVER) or find_binary()
    programs, backup, data = (tmp_path / name for name in ("bin", "backup", "restored"))
    for directory in (programs, backup, data):
        directory.mkdir()
    (programs / "redis-server").symlink_to(binary)  # what is restored into is what was copied from
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "BACKUP": str(backup),
        "DATA": str(data),
    }
    lost = embedded_server(None, tmp_path / "lost", appendonly=True, binary=binary)
    url = await asyncio.to_thread(lost.__enter__)
    environment |= await let_copy(url)
    async with System(tmp_path, url, BREAKWATER_POLL_SCALE="0.05") as system:
        try:
            running = [await system.start_gateway("livez"), await system.start_worker("livez")]
            await system.start_simulator("--balance", "1000000", "--video-s", "2")
            accepted = await _submit_around(system, receiver, run(commands("backup"), **environment))
            for process in running:
                system.kill(process)
        finally:
            await asyncio.to_thread(lost.__exit__, None, None, None)
        assert_private(backup)
        told_before = len(receiver.received)
        await run(commands("restore"), **environment)
        assert_private(data)
        restored = embedded_server(None, data, appendonly=True, binary=binary)
        system.environment["BREAKWATER_REDIS_URL"] = await asyncio.to_thread(restored.__enter__)
        try:
            async with system.resources() as resources:
                unfinished = await _unfinished(resources)
                await asyncio.gather(system.start_worker(), system.start_gateway())
                await wait_until(
                    lambda: _nothing_owed(resources), timeout_s=60, what="everything has ended and was told"
                )
                told = await _audit(system, resources, accepted, receiver.received)
                print(  # noqa: T201
                    f"backup: {len(accepted.ids)} submissions, {told}, {unfinished} of them in flight in the copy,"
                    f" {len(receiver.received) - told_before} callbacks after the restore"
                )
                assert unfinished >= SUBMITTERS
        finally:
            await asyncio.to_thread(restored.__exit__, None, None, None)


async def _submit_around(system: System, receiver: Receiver, copying: Coroutine[Any, Any, None]) -> Accepted:
    """Submit, have the copy made while all of that runs, and submit more.

    Nothing is just being submitted at the moment of the copy: that is looked for in WaveSpeed's list, which takes more
    than a minute, and is what the runs are about that crash between every two steps.
    """
    key = await system.create_tenant("acme", read_spec({"limits": {"concurrency": 1_000_000, "budget_usd": "9999"}}))
    async with system.resources() as resources:
        await resources.register_endpoint(await resources.tenants.get("acme"), f"{receiver.url}/endpoint", [])
    accepted, numbers = Accepted(), count()

    async def submit_some(client: Httpx2AiohttpClient, wanted: int) -> None:
        for number in islice(numbers, wanted):
            prompt = f"{PROMPTS[number % len(PROMPTS)]} wave number {number}"
            accepted.ids[number] = await submit(client, (system.gateway_url,), key, number, prompt)

    async with Httpx2AiohttpClient(timeout=20.0, trust_env=False) as client:
        await asyncio.gather(*(submit_some(client, BEFORE // SUBMITTERS) for _ in range(SUBMITTERS)))
        accepted.before_the_copy = frozenset(accepted.ids.values())
        await copying
        await asyncio.gather(*(submit_some(client, 1) for _ in range(SUBMITTERS)))
    return accepted


async def _known(resources: Resources) -> dict[str, Prediction]:
    """Every prediction there is, by id."""
    ids = [booked.id async for booked in resources.reconcile.books.predictions("acme")]
    loaded = await asyncio.gather(*(resources.predictions.load(one) for one in ids))
    return {one.id: one for one in loaded if one is not None}


async def _unfinished(resources: Resources) -> int:
    """How many predictions of the copy have not ended."""
    return sum(one.state not in ENDED for one in (await _known(resources)).values())


async def _nothing_owed(resources: Resources) -> bool:
    """Whether every prediction has ended, and nobody is owed anything."""
    return not await resources.commands("EXISTS", due("submit"), due("poll"), due("deliver"))


async def _audit(system: System, resources: Resources, accepted: Accepted, received: list[Callback]) -> str:
    """Compare what was accepted, what the copy knew, what the upstream did, what the books say and what was told."""
    known = await _known(resources)
    assert accepted.before_the_copy == set(known), "the copy has all that was answered before it was begun, and no more"
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for task in (await system.seen_upstream())["submissions"]:
        tasks[task["input"]["prompt"]].append(task)
    assert all(len(found) == 1 for found in tasks.values()), "nothing is paid twice"
    by_id = {task["id"]: task for found in tasks.values() for task in found}
    for one in known.values():
        assert one.state == by_id[one.upstream_id]["status"], (one.id, one.state)
    ledger = await resources.ledger.ledger("acme", window_of(int(resources.clock() * 1000)).month)
    assert ledger.conserved
    completed = sum(one.state is State.COMPLETED for one in known.values())
    assert (ledger.held, ledger.settled) == (0, PRICE * completed)
    assert await resources.reconcile.books.slots("acme") == set()
    assert await resources.reconcile() == 0, "nothing had drifted"
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for callback in received:
        said = from_json(callback.body)
        ids[said["data"]["id"], said["type"]].add(callback.headers["webhook-id"])
    assert all((one.id, f"prediction.{one.state.value}") in ids for one in known.values()), "every end was told"
    assert all(len(found) == 1 for found in ids.values()), "each thing under one id"
    unknown = len(set(accepted.ids.values()) - set(known))
    return (
        f"{len(known)} known to the copy, {dict(Counter(one.state.value for one in known.values()))}, {unknown} later"
    )
