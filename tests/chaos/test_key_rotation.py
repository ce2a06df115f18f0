"""WaveSpeed's key is changed under load, as Kubernetes changes a mounted secret: no request fails."""

import asyncio
import random
from contextlib import AsyncExitStack
from itertools import repeat
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.seeing_through import Client, Tally, client_of
from tests.journeys.system import SECRET_KEY, System
from tests.waiting import wait_until

NEW_KEY: Final = "sk-the-key-that-follows"
CLIENTS: Final = 24
REQUESTS: Final = 200
"""How many requests are made, at least, before the key is changed, while both are valid, and with the new one alone."""


class MountedSecret:
    """A file that changes as Kubernetes has it: the name stays, the directory it leads into is another at a stroke."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "key"
        self._directory = directory
        self._versions = 0
        directory.mkdir()
        self.file.symlink_to(Path("..data") / "key")

    def put(self, key: str) -> None:
        """Put another key there."""
        self._versions += 1
        version = self._directory / f"..{self._versions}"
        version.mkdir()
        (version / "key").write_text(f"{key}\n")
        link = self._directory / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self._directory / "..data")


@pytest.mark.timeout(60)
async def test_a_new_upstream_key_fails_no_request(tmp_path: Path, redis_url: str, chance: random.Random) -> None:
    """Submissions, reads and looks go on while the key file is replaced and the old key is then revoked."""
    secret = MountedSecret(tmp_path / "secret")
    secret.put(SECRET_KEY)
    async with System(tmp_path, redis_url, BREAKWATER_UPSTREAM_KEY_FILE=str(secret.file)) as system:
        del system.environment["WAVESPEED_API_KEY"]
        await system.start()
        tally, ended = Tally(), asyncio.Event()

        async def more_requests() -> None:
            wanted = tally.requests + REQUESTS
            await wait_until(lambda: tally.requests >= wanted, what="more requests")

        async def accept(*keys: str) -> None:
            answer = await system.upstream.put("/_control/keys", json={"keys": keys})
            assert answer.status_code == 200

        async with AsyncExitStack() as stack, asyncio.TaskGroup() as load:
            for _ in range(CLIENTS):
                http = await stack.enter_async_context(client_of(system, system.gateway_url, kept=True))
                load.create_task(Client(http, tally, chance).work(repeat("a wave"), ended))
            await more_requests()
            await accept(SECRET_KEY, NEW_KEY)
            secret.put(NEW_KEY)
            await more_requests()
            await accept(NEW_KEY)
            revoked_at = len(tally.accepted)
            await more_requests()
            ended.set()
        seen = await system.seen_upstream()
        failed_looks = await system.worker_metric(
            'breakwater_upstream_calls_total{operation="result",outcome="failed"}'
        )
    print(  # noqa: T201
        f"key rotation: {tally.requests} requests, {len(tally.accepted)} of them submissions"
        f" ({len(tally.accepted) - revoked_at} after the old key was revoked), {len(tally.failed)} failed;"
        f" WaveSpeed refused {seen['refused'].get('401', 0)} calls"
    )
    assert tally.failed == []
    assert tally.requests >= 500
    assert tally.completed == set(tally.accepted)
    assert len(tally.accepted) - revoked_at >= CLIENTS
    assert seen["paid_submissions"] == len(tally.accepted)
    assert (seen["refused"].get("401", 0), failed_looks) == (0, 0)


async def test_the_old_key_is_really_refused(tmp_path: Path, redis_url: str) -> None:
    """Without the new key in the file the same system is refused: what the test above shows is not for nothing."""
    secret = MountedSecret(tmp_path / "secret")
    secret.put(SECRET_KEY)
    async with System(tmp_path, redis_url, BREAKWATER_UPSTREAM_KEY_FILE=str(secret.file)) as system:
        del system.environment["WAVESPEED_API_KEY"]
        await system.start(worker=False)
        await system.submit("a wave")
        await system.upstream.put("/_control/keys", json={"keys": [NEW_KEY]})
        answer = await system.client.post("/api/v3/openai/sora-2", json={"prompt": "a wave"})
        assert answer.status_code == 503
        assert (await system.seen_upstream())["refused"]["401"] >= 1
