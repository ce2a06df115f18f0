"""The rights in Redis that the documentation lists are enough for the whole system, and hardly more."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from tests.integration.check.finding import Doctor, names
from tests.journeys.system import Receiver, System
from tests.waiting import wait_until

PAGE: Final = Path(__file__).parents[3] / "docs" / "redis.md"
PASSWORD: Final = "a-password-of-its-own"


@pytest.fixture
def user_url(right_redis: Redis, server: str) -> Iterator[str]:
    """The URL of a user who has been given the rights of the page, by its line as it stands there."""
    found = re.search(r"^ACL SETUSER breakwater .*$", PAGE.read_text(), re.MULTILINE)
    assert found, "docs/redis.md lists no rights"
    right_redis.execute_command(*found[0].replace(">PASSWORD", f">{PASSWORD}").split())  # type: ignore[no-untyped-call]
    right_redis.acl_log_reset()
    yield server.replace("//", f"//breakwater:{PASSWORD}@")
    right_redis.acl_deluser("breakwater")


def denied(redis: Redis) -> list[Any]:
    """What Redis has refused to anybody, by its own log."""
    log = redis.acl_log()
    assert isinstance(log, list)
    return log


async def test_the_rights_of_the_page_are_enough(
    tmp_path: Path, right_redis: Redis, user_url: str, receiver: Receiver
) -> None:
    """A video goes through, held request, callback, operator's work and all, and Redis refuses nothing on the way."""
    right_redis.flushall()
    async with System(tmp_path, user_url) as system:
        await system.start()
        created = await system.client.post("/v1/endpoints", json={"url": f"{receiver.url}/events"})
        assert created.status_code == 201, created.text
        held = await system.client.post(
            "/api/v3/openai/sora-2", json={"prompt": "a lighthouse", "enable_sync_mode": True}
        )
        assert held.json()["data"]["status"] == "completed", held.text
        assert (await system.result(held.json()["data"]["id"]))["status"] == "completed"
        await wait_until(
            lambda: any(b"prediction.completed" in one.body for one in receiver.received), what="it is told of"
        )
        async with system.resources() as resources:
            assert await resources.reconcile() == 0
            await resources.measure_store()
            await resources.find_stuck(10)
    assert denied(right_redis) == []


def test_with_the_rights_of_the_page_everything_is_looked_at(doctor: Doctor, right_redis: Redis, user_url: str) -> None:
    """`breakwater check` finds nothing wrong, nor is refused anything."""
    assert names(doctor.check(BREAKWATER_REDIS_URL=user_url)) == set()
    assert denied(right_redis) == []


def test_the_rights_of_the_page_are_not_all_there_are(right_redis: Redis, user_url: str) -> None:
    """Keys of somebody else, other channels, and what is dangerous are refused."""
    with Redis.from_url(user_url) as user:
        for command in (
            ("GET", "other:key"),
            ("PUBLISH", "other", "x"),
            ("FLUSHALL",),
            ("CONFIG", "SET", "appendonly", "no"),
            ("KEYS", "*"),
            ("ACL", "LIST"),
        ):
            with pytest.raises(NoPermissionError):
                user.execute_command(*command)
