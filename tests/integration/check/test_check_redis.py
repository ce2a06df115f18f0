"""`breakwater check` finds what is wrong with Redis: real servers, each set wrongly in one way."""

import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from service.checks.examine import examine
from service.checks.findings import Report
from service.embedded_redis import find_binary, guarded, stop_guarded
from service.stores.encryption import Encryption
from tests.conftest import TEST_SERVER
from tests.integration.check.finding import Doctor, Shown, assert_found, finds, names, told
from tests.integration.check.fronts import front, untrusted
from tests.integration.cli_calls import KEY
from tests.integration.stores.stack import OTHER_KEY
from tests.waiting import wait_until

MASTER = "videos"


def assert_encryption_unseen(shown: Shown) -> None:
    """Nothing is claimed of a key that could not be compared with what is stored."""
    [key] = [one for one in shown["findings"] if one["check"].startswith("encryption-key")]
    assert (key["level"], key["check"]) == ("note", "encryption-key")
    assert key["found"].startswith("not looked at")


@finds("redis-unreachable")
def test_nobody_there(doctor: Doctor, free_port: int) -> Shown:
    """A port on which nobody listens; what needs no Redis is looked at all the same."""
    shown = doctor.check(BREAKWATER_REDIS_URL=f"redis://127.0.0.1:{free_port}/0", BREAKWATER_CALLBACK_ALLOW=None)
    assert "callbacks-nowhere" in names(shown)
    assert_encryption_unseen(shown)
    return shown


@finds("redis-password")
def test_a_wrong_password(doctor: Doctor, right_redis: Redis, server: str) -> Shown:
    """Another password than the server's, or none, is refused; neither is repeated."""
    right_redis.config_set("requirepass", "the-right-one")
    assert_found("redis-password", doctor.check())
    shown = doctor.check(BREAKWATER_REDIS_URL=server.replace("//", "//:a-wrong-one@"))
    assert "a-wrong-one" not in str(shown)
    return shown


@finds("redis-tls")
async def test_tls_where_there_is_none(doctor: Doctor, server: str) -> Report:
    """`rediss://` to a server that speaks none."""
    doctor.set(BREAKWATER_REDIS_URL=server.replace("redis://", "rediss://"))
    return await examine(os.environ)


@finds("redis-tls")
async def test_no_tls_where_there_is_one(doctor: Doctor, server: str, tmp_path: Path) -> Report:
    """`redis://` to a server that speaks nothing else."""
    async with front(server, untrusted(tmp_path)) as port:
        doctor.set(BREAKWATER_REDIS_URL=f"redis://localhost:{port}/0")
        return await examine(os.environ)


@finds("redis-certificate")
async def test_a_certificate_nobody_vouches_for(doctor: Doctor, server: str, tmp_path: Path) -> Report:
    """A self-signed certificate is told apart from a server without TLS."""
    async with front(server, untrusted(tmp_path)) as port:
        doctor.set(BREAKWATER_REDIS_URL=f"rediss://localhost:{port}/0")
        return await examine(os.environ)


@finds("redis-too-old")
async def test_an_old_server(doctor: Doctor, server: str) -> Report:
    """A server that tells it is a 6."""
    async with front(server, major=6) as port:
        doctor.set(BREAKWATER_REDIS_URL=f"redis://127.0.0.1:{port}/0")
        return await examine(os.environ)


@finds("redis-replica")
def test_a_replica(doctor: Doctor, right_redis: Redis, free_port: int) -> Shown:
    """A server that follows another takes no writes."""
    right_redis.replicaof("127.0.0.1", str(free_port))
    return doctor.check()


@finds("redis-cluster")
async def test_a_cluster(doctor: Doctor, tmp_path: Path, free_port: int) -> Report:
    """A node of a cluster, whatever slots it serves."""
    options = ["--port", str(free_port), "--dir", str(tmp_path), "--cluster-enabled", "yes", "--bind", "127.0.0.1"]
    process = guarded([os.environ.get(TEST_SERVER) or find_binary(), *options], tmp_path / "log")
    try:
        await wait_until(lambda: b"eady to accept" in (tmp_path / "log").read_bytes(), what="the node is ready")
        doctor.set(BREAKWATER_REDIS_URL=f"redis://127.0.0.1:{free_port}/0")
        return await examine(os.environ)
    finally:
        stop_guarded(process)


@pytest.fixture
async def sentinel(server: str, tmp_path: Path, free_port: int) -> AsyncIterator[str]:
    """The address of a sentinel that knows the server as `videos`."""
    file, primary = tmp_path / "sentinel.conf", urlsplit(server).port
    file.write_text(
        f"port {free_port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor {MASTER} 127.0.0.1 {primary} 1\n"
    )
    process = guarded([os.environ.get(TEST_SERVER) or find_binary(), str(file), "--sentinel"], tmp_path / "log")
    try:
        await wait_until(lambda: b"+monitor" in (tmp_path / "log").read_bytes(), what="the sentinel is ready")
        yield f"127.0.0.1:{free_port}"
    finally:
        stop_guarded(process)


async def test_the_primary_that_sentinels_name_is_looked_at(doctor: Doctor, sentinel: str) -> None:
    """With the right name everything is right, wherever the URL leads."""
    doctor.set(
        BREAKWATER_REDIS_SENTINELS=sentinel,
        BREAKWATER_REDIS_MASTER=MASTER,
        BREAKWATER_REDIS_URL="redis://127.0.0.1:1/0",
    )
    report = await examine(os.environ)
    assert names(report.shown(strict=True)) == set()
    assert {"sentinels", "durability"} <= {one.check for one in report.findings}


@finds("sentinel-master-unknown")
async def test_sentinels_of_something_else(doctor: Doctor, sentinel: str) -> Report:
    """They answer, and know no primary of the name that is set."""
    doctor.set(BREAKWATER_REDIS_SENTINELS=sentinel, BREAKWATER_REDIS_MASTER="mymaster")
    return await examine(os.environ)


@finds("sentinels-some-away")
async def test_a_sentinel_that_is_away(doctor: Doctor, sentinel: str) -> Report:
    """One that answers is enough to go on, and the other is named."""
    doctor.set(BREAKWATER_REDIS_SENTINELS=f"127.0.0.1:1,{sentinel}", BREAKWATER_REDIS_MASTER=MASTER)
    report = await examine(os.environ)
    assert "durability" in {one.check for one in report.findings}
    return report


@finds("sentinels-unreachable")
def test_no_sentinel(doctor: Doctor) -> Shown:
    """Nobody listens where sentinels should be."""
    shown = doctor.check(BREAKWATER_REDIS_SENTINELS="127.0.0.1:1,127.0.0.1:2")
    assert_encryption_unseen(shown)
    return shown


@pytest.fixture
def of_user(right_redis: Redis, server: str) -> Callable[..., str]:
    """Makes a user with the given rights, and gives the URL with which it is used."""

    def make(*rules: str) -> str:
        right_redis.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", *rules)  # type: ignore[no-untyped-call]
        return server.replace("//", "//app:pw@")

    return make


@finds("redis-restricted")
def test_a_server_that_tells_little(doctor: Doctor, of_user: Callable[..., str]) -> Shown:
    """Managed servers do not allow CONFIG; everything else is found out nevertheless."""
    shown = doctor.check(BREAKWATER_REDIS_URL=of_user("~*", "+@all", "-config"))
    assert names(shown) == {"redis-restricted"}
    return shown


@finds("redis-forbidden")
@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (("~*", "+@all", "-@dangerous"), "info"),
        (("~*", "+@all", "-time"), "time"),
        (("~*", "+@all", "-zrange"), "zrange"),
        (("~other:*", "+@all"), "key"),
    ],
)
def test_a_user_who_may_too_little(
    doctor: Doctor, right_redis: Redis, of_user: Callable[..., str], rules: tuple[str, ...], told: str
) -> Shown:
    """A Redis that answers is not said to be away: what its user may not do is told."""
    right_redis.set("bw:canary", Encryption([OTHER_KEY]).encrypt("breakwater"))
    shown = doctor.check(BREAKWATER_REDIS_URL=of_user(*rules))
    assert "redis-unreachable" not in names(shown)
    [found] = [one["found"] for one in shown["findings"] if one["check"] == "redis-forbidden"]
    assert told in found.partition(": the user")[0]
    assert_encryption_unseen(shown)
    return shown


@finds("aof-off")
def test_no_append_only_file(doctor: Doctor, right_redis: Redis) -> Shown:
    """Without an append-only file a restart forgets."""
    right_redis.config_set("appendonly", "no")
    return doctor.check()


@finds("fsync-everysec")
def test_written_every_second(doctor: Doctor, right_redis: Redis) -> Shown:
    """It is a choice with a price, so a warning."""
    right_redis.config_set("appendfsync", "everysec")
    return doctor.check()


@finds("fsync-no")
def test_written_whenever(doctor: Doctor, right_redis: Redis) -> Shown:
    """When the system likes is not when a submission is answered."""
    right_redis.config_set("appendfsync", "no")
    return doctor.check()


@finds("evicts")
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts(doctor: Doctor, right_redis: Redis, policy: str) -> Shown:
    """Any policy but one throws away what is owed."""
    right_redis.config_set("maxmemory-policy", policy)
    return doctor.check()


@finds("maxmemory-unset")
def test_no_limit_of_memory(doctor: Doctor, right_redis: Redis) -> Shown:
    """Without a limit submissions are never stopped in time."""
    right_redis.config_set("maxmemory", 0)
    return doctor.check()


def _use(redis: Redis, share: float) -> None:
    """Have so much of the memory be used."""
    redis.setrange("bw:filling", 32 * 2**20, "x")
    redis.config_set("maxmemory", int(told(redis, "memory")["used_memory"] / share))


@finds("memory-short")
def test_memory_is_getting_short(doctor: Doctor, right_redis: Redis) -> Shown:
    """Before submissions stop there is time to do something."""
    _use(right_redis, 0.78)
    return doctor.check()


@finds("memory-stopped")
def test_memory_is_used_up(doctor: Doctor, right_redis: Redis) -> Shown:
    """From 85 % on submissions are refused."""
    _use(right_redis, 0.92)
    return doctor.check()


@finds("clock-differs")
async def test_a_clock_that_is_wrong(doctor: Doctor) -> Report:
    """This machine's clock is half a minute behind that of Redis."""
    doctor.set()
    report = await examine(os.environ, lambda: time.time() - 30)
    [found] = [one.found for one in report.findings if one.check == "clock-differs"]
    assert found.startswith("Redis is 30.0 s ahead")
    return report


@finds("encryption-key-differs")
def test_another_encryption_key(doctor: Doctor, right_redis: Redis) -> Shown:
    """What is stored was written under another key; the canary stays as it is."""
    canary = Encryption([OTHER_KEY]).encrypt("breakwater")
    right_redis.set("bw:canary", canary)
    shown = doctor.check()
    assert right_redis.get("bw:canary") == canary.decode()
    return shown


@finds("encryption-key-changing")
def test_a_change_of_encryption_keys(doctor: Doctor, right_redis: Redis) -> Shown:
    """While two keys are set it is told whether the old one is still needed."""
    right_redis.set("bw:canary", Encryption([KEY]).encrypt("breakwater"))
    assert "the first is in use" in str(doctor.check(BREAKWATER_ENCRYPTION_KEY=f"{KEY},{OTHER_KEY}"))
    shown = doctor.check(BREAKWATER_ENCRYPTION_KEY=f"{OTHER_KEY},{KEY}")
    assert "secrets are under an older one" in str(shown)
    return shown


@finds("work-overdue")
@pytest.mark.parametrize("due_set", ["poll", "deliver", "retain"])
def test_no_worker(doctor: Doctor, right_redis: Redis, due_set: str) -> Shown:
    """Something has been due for two minutes, and nobody came."""
    right_redis.zadd(f"bw:due:{due_set}", {"f" * 32: (time.time() - 120) * 1000})
    return doctor.check()


@finds("tenants-none")
def test_nobody_to_serve(doctor: Doctor, right_redis: Redis) -> Shown:
    """An empty Redis is told to be one."""
    right_redis.flushall()
    return doctor.check()
