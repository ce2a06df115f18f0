"""`breakwater check` finds what is wrong with settings, files, keys and addresses."""

import socket
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.check.finding import Doctor, Shown, assert_found, each, finds, names
from tests.integration.cli_calls import KEY
from tests.integration.simulator.running import Running
from tests.integration.stores.stack import OTHER_KEY

SIGNING = {"BREAKWATER_UPSTREAM_WEBHOOKS": "on", "BREAKWATER_SIGNING_KEY": "a-signing-key-of-ours"}


@each(
    [
        ("setting-unreadable", {"BREAKWATER_PORT": "http"}),
        ("setting-unreadable", {"BREAKWATER_REDIS_URL": "127.0.0.1:6379"}),
        ("setting-unreadable", {"BREAKWATER_CALLBACK_ALLOW": "10.0.0.0/99"}),
        ("setting-unreadable", {"WAVESPEED_API_KEY": "a key with blanks"}),
        ("setting-unreadable", {"BREAKWATER_UPSTREAM_TIER": "platinum"}),
        ("setting-unknown", {"BREAKWATER_REDIS_ULR": "redis://127.0.0.1:6379/0"}),
        ("scale-not-one", {"BREAKWATER_POLL_SCALE": "0.1"}),
        ("scale-not-one", {"BREAKWATER_RETRY_SCALE": "0.1"}),
        ("drain-short", {"BREAKWATER_DRAIN_S": "10"}),
        ("grace-none", {"BREAKWATER_SHUTDOWN_GRACE_S": "0"}),
        ("ending-long", {"BREAKWATER_SHUTDOWN_GRACE_S": "20"}),
        ("encryption-key-missing", {"BREAKWATER_ENCRYPTION_KEY": None}),
        ("encryption-key-malformed", {"BREAKWATER_ENCRYPTION_KEY": "short"}),
        ("encryption-key-malformed", {"BREAKWATER_ENCRYPTION_KEY": f"{KEY},short"}),
        ("encryption-key-changing", {"BREAKWATER_ENCRYPTION_KEY": f"{OTHER_KEY},{KEY}"}),
        ("admin-token-off", {"BREAKWATER_ADMIN_TOKEN": None}),
        ("admin-token-malformed", {"BREAKWATER_ADMIN_TOKEN": "short"}),
        ("upstream-key-missing", {"WAVESPEED_API_KEY": None}),
        ("upstream-plain-http", {"BREAKWATER_UPSTREAM_URL": "http://192.0.2.1:9"}),
        ("account-limits-unset", {"BREAKWATER_UPSTREAM_TIER": None}),
        ("webhooks-signing-key", {"BREAKWATER_UPSTREAM_WEBHOOKS": "on"}),
        ("webhooks-address", {**SIGNING, "BREAKWATER_PUBLIC_URL": None}),
        ("webhooks-address", {**SIGNING, "BREAKWATER_PUBLIC_URL": "https://localhost:8080"}),
        ("webhooks-address", {**SIGNING, "BREAKWATER_PUBLIC_URL": "https://10.1.2.3"}),
        ("webhooks-address", {**SIGNING, "BREAKWATER_PUBLIC_URL": "https://gateway"}),
        ("webhooks-address", {**SIGNING, "BREAKWATER_PUBLIC_URL": "https://gateway.videos.svc.cluster.local"}),
        ("webhooks-plain-http", {**SIGNING, "BREAKWATER_PUBLIC_URL": "http://videos.example.com"}),
        ("signing-key-changing", {**SIGNING, "BREAKWATER_SIGNING_KEY": "a-signing-key-of-ours,the-one-before-it"}),
        ("public-url-malformed", {"BREAKWATER_PUBLIC_URL": "https://videos.example.com/api"}),
        ("public-url-malformed", {"BREAKWATER_PUBLIC_URL": "https://videos.example.com?a=b"}),
        ("public-url-malformed", {"BREAKWATER_PUBLIC_URL": "videos.example.com"}),
        ("public-url-unset", {"BREAKWATER_PUBLIC_URL": None}),
        ("public-url-local", {"BREAKWATER_PUBLIC_URL": "https://127.0.0.1:8080"}),
        ("public-url-local", {"BREAKWATER_PUBLIC_URL": "http://0.0.0.0:8080"}),
        ("callbacks-nowhere", {"BREAKWATER_CALLBACK_ALLOW": None}),
        ("callbacks-everywhere", {"BREAKWATER_CALLBACK_ALLOW": "0.0.0.0/0"}),
        ("callbacks-everywhere", {"BREAKWATER_CALLBACK_ALLOW": "10.0.0.0/8, ::/0"}),
        ("callbacks-denied-range", {"BREAKWATER_CALLBACK_ALLOW": "127.0.0.1/32"}),
        ("callbacks-denied-range", {"BREAKWATER_CALLBACK_ALLOW": "10.0.0.0/8, 169.254.169.254"}),
        ("models-file-broken", {"BREAKWATER_MODELS_FILE": "/nowhere/models.toml"}),
        ("tenants-file-broken", {"BREAKWATER_TENANTS_FILE": "/nowhere/tenants.toml"}),
        ("upstream-key-file-unreadable", {"BREAKWATER_UPSTREAM_KEY_FILE": "/nowhere/key"}),
    ]
)
def test_a_setting_that_is_wrong(doctor: Doctor, name: str, changes: dict[str, str | None]) -> None:
    """One wrong setting is found, and nothing else is, but for what comes of it; the finding names the variable."""
    shown = doctor.check(**changes)
    assert_found(name, shown)
    [found] = [one for one in shown["findings"] if one["check"] == name]
    assert any(variable in found["remedy"] + found["found"] for variable in changes)


def test_one_unreadable_setting_hides_no_other(doctor: Doctor) -> None:
    """All of them are told at once, and what can be looked at still is."""
    shown = doctor.check(BREAKWATER_PORT="http", BREAKWATER_UPSTREAM_URL="wavespeed", BREAKWATER_DRAIN_S="1")
    unreadable = [one["found"].split()[0] for one in shown["findings"] if one["check"] == "setting-unreadable"]
    assert sorted(unreadable) == ["BREAKWATER_PORT", "BREAKWATER_UPSTREAM_URL"]
    assert {"drain-short", "upstream"} <= names(shown)
    assert "durability" in {one["check"] for one in shown["findings"]}


@finds("worker-port-taken")
def test_a_worker_runs_here(doctor: Doctor) -> Shown:
    """Somebody listens on the worker's port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return doctor.check(BREAKWATER_WORKER_METRICS_PORT=str(taken.getsockname()[1]))


@finds("models-file-broken")
def test_a_broken_file_of_models(doctor: Doctor, tmp_path: Path) -> Shown:
    """What is wrong with it is told."""
    file = tmp_path / "models.toml"
    file.write_text('[models."acme/one"]\nname = 7\n')
    shown = doctor.check(BREAKWATER_MODELS_FILE=str(file))
    assert "acme/one" in str(shown)
    return shown


@finds("tenants-file-broken")
@pytest.mark.parametrize("text", ["not toml", '[tenants.acme]\nkeys = { ci = "bw_a-key-and-no-digest" }\n'])
def test_a_broken_file_of_tenants(doctor: Doctor, tmp_path: Path, text: str) -> Shown:
    """It cannot be read, or has a key where a digest belongs."""
    return _with_tenants(doctor, tmp_path, text)


@finds("tenants-file-empty")
def test_a_file_without_tenants(doctor: Doctor, tmp_path: Path) -> Shown:
    """An empty file is likely not what was meant."""
    return _with_tenants(doctor, tmp_path, "")


@finds("tenant-without-limits")
def test_a_tenant_that_may_do_anything(doctor: Doctor, tmp_path: Path) -> Shown:
    """Without any limit one team can spend what is everybody's."""
    return _with_tenants(doctor, tmp_path, "[tenants.acme]\nlimits = {}\n")


@finds("tenant-without-key")
def test_a_tenant_that_cannot_call(doctor: Doctor, tmp_path: Path, right_redis: Redis) -> Shown:
    """A tenant without a key in the file is found, unless Redis has one for it."""
    text = "[tenants.acme]\nlimits = { daily = 5 }\n"
    right_redis.hset("bw:tenant:acme:keys", "key_1", "0" * 64)
    assert names(_with_tenants(doctor, tmp_path, text)) == set()
    right_redis.delete("bw:tenant:acme:keys")
    return _with_tenants(doctor, tmp_path, text)


def _with_tenants(doctor: Doctor, tmp_path: Path, text: str) -> Shown:
    """The report about a tenants file."""
    file = tmp_path / "tenants.toml"
    file.write_text(text)
    return doctor.check(BREAKWATER_TENANTS_FILE=str(file))


@finds("upstream-key-file-unreadable")
@pytest.mark.parametrize("text", ["", "two words\n"])
def test_a_key_file_without_a_key(doctor: Doctor, tmp_path: Path, text: str) -> Shown:
    """An empty file, or one that holds something else."""
    file = tmp_path / "key"
    file.write_text(text)
    return doctor.check(BREAKWATER_UPSTREAM_KEY_FILE=str(file))


@pytest.mark.parametrize("text", [None, "", "two words\n"])
def test_without_a_key_nothing_is_asked(doctor: Doctor, account: Running, tmp_path: Path, text: str | None) -> None:
    """WaveSpeed gets no request without a key, and so is not said to have refused one."""
    file = tmp_path / "key"
    if text is not None:
        file.write_text(text)
    shown = doctor.check(BREAKWATER_UPSTREAM_KEY_FILE=str(file), WAVESPEED_API_KEY=None)
    assert names(shown) == {"upstream-key-file-unreadable"}
    assert account.seen()["requests"] == {}
