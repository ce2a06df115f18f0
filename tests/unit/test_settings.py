"""Configuration: what is wrong is said in one line that names the variable, and no secret is ever repeated."""

import os
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import BadSetting, Settings, load_settings, unknown_variables, variable_of

KEY = urlsafe_b64encode(b"\xfb" * 32).decode()
OLD_KEY = urlsafe_b64encode(b"\x01" * 32).decode()
CANARY = "canary-5d41402abc4b2a76"
"""Stands in every secret: it must come out nowhere."""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the variables of whoever runs the tests."""
    for name in os.environ:
        if name.upper().startswith(("BREAKWATER_", "WAVESPEED_")):
            monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings with these variables set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """The one line that these variables are refused with."""
    with pytest.raises(BadSetting) as refusal:
        loaded(monkeypatch, **variables)
    message = str(refusal.value)
    assert len(message.splitlines()) == 1
    return message


class TestDefaults:
    """What holds when nothing is set."""

    def test_nothing_is_required_to_look_around(self) -> None:
        """Without any variable the settings load, with the documented defaults."""
        settings = load_settings()
        assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
        assert settings.upstream_url == "https://api.wavespeed.ai"
        assert settings.base_url == "http://127.0.0.1:8080"
        assert (settings.wavespeed_api_key, settings.upstream_key_file, settings.encryption_key) == (
            None,
            None,
            (),
        )
        assert (settings.max_body_bytes, settings.poll_scale, settings.retry_scale) == (1_048_576, 1.0, 1.0)
        assert settings.callback_allow == ""
        assert settings.log_level == "info"

    def test_every_setting_says_what_it_means(self) -> None:
        """Each has a sentence of its own and a variable of its own."""
        assert all((field.description or "").endswith(".") for field in Settings.model_fields.values())
        variables = {variable_of(name) for name in Settings.model_fields}
        assert len(variables) == len(Settings.model_fields)
        assert {name for name in variables if not name.startswith("BREAKWATER_")} == {"WAVESPEED_API_KEY"}

    def test_an_empty_variable_is_an_unset_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a template leaves empty takes its default."""
        empty = {variable_of(name): "" for name in Settings.model_fields}
        assert loaded(monkeypatch, **empty) == Settings()


class TestReading:
    """How variables become settings."""

    def test_every_variable_is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Each setting can be set by its variable."""
        mounted = tmp_path / "key"
        mounted.write_text("secret")
        values = {
            "redis_url": "rediss://:pw@redis:6380/3",
            "redis_sentinels": "10.0.0.1:26379, sentinel-2:26379,[::1]:26379",
            "redis_master": "videos",
            "upstream_url": "http://127.0.0.1:9100",
            "wavespeed_api_key": "wk",
            "upstream_key_file": str(mounted),
            "host": "0.0.0.0",  # noqa: S104 read, not listened on
            "port": "9000",
            "public_url": "https://video.acme.test",
            "encryption_key": KEY,
            "signing_key": "a-key-to-sign-ids-with",
            "upstream_webhooks": "on",
            "upstream_reads_per_s": "5",
            "output_expiring_s": "60",
            "admin_token": "an-operators-token",
            "tenants_file": str(tmp_path / "tenants.toml"),
            "worker_metrics_port": "9001",
            "models_file": str(tmp_path / "models.toml"),
            "upstream_tier": "silver",
            "upstream_per_minute": "video=5,image=7",
            "upstream_concurrency": "9",
            "upstream_balance_low_usd": "25",
            "max_queued": "11",
            "max_queue_wait_s": "120",
            "submit_concurrency": "4",
            "unlisted_models": "allow",
            "unlisted_price_usd": "0.75",
            "callback_allow": "10.0.0.0/8,hooks.acme.test",
            "max_body_bytes": "2048",
            "max_upload_bytes": "4096",
            "max_wait_s": "12.5",
            "tenant_streams": "5",
            "output_hosts": "*.acme.test",
            "poll_scale": "0.5",
            "retry_scale": "0.01",
            "poll_concurrency": "7",
            "deliver_concurrency": "9",
            "endpoint_concurrency": "3",
            "shutdown_grace_s": "0",
            "drain_s": "1.5",
            "log_level": "debug",
        }
        assert set(values) == set(Settings.model_fields), "a new setting belongs in this test"
        settings = loaded(monkeypatch, **{variable_of(name): value for name, value in values.items()})
        default = Settings.model_construct()
        assert [name for name in values if getattr(settings, name) == getattr(default, name)] == []

    def test_the_upstream_key_has_wavespeeds_own_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable is the one WaveSpeed's own clients read; our prefix is not put before it."""
        settings = loaded(monkeypatch, WAVESPEED_API_KEY="wk-1", BREAKWATER_WAVESPEED_API_KEY="wk-2")
        assert settings.wavespeed_api_key == SecretStr("wk-1")
        assert Settings(wavespeed_api_key=SecretStr("wk-3")).wavespeed_api_key == SecretStr("wk-3")

    @pytest.mark.parametrize("url", ["https://video.acme.test", "http://10.0.0.7:8080", "https://[::1]:8443"])
    def test_a_trailing_slash_makes_no_difference(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        """Paths are appended to a URL, so it ends without a slash however it was written."""
        assert loaded(monkeypatch, BREAKWATER_PUBLIC_URL=f"{url}/").base_url == url
        assert loaded(monkeypatch, BREAKWATER_PUBLIC_URL=url).base_url == url

    def test_without_a_public_url_callers_are_sent_to_host_and_port(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is written into answers is where the gateway listens."""
        settings = loaded(monkeypatch, BREAKWATER_HOST="video.acme.internal", BREAKWATER_PORT="9000")
        assert settings.base_url == "http://video.acme.internal:9000"

    def test_an_ipv6_host_makes_a_url_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An IPv6 address stands in brackets in a URL."""
        assert loaded(monkeypatch, BREAKWATER_HOST="::1").base_url == "http://[::1]:8080"

    def test_nothing_but_the_environment_is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A dotenv file that happens to lie there changes nothing."""
        (tmp_path / ".env").write_text("BREAKWATER_PORT=9\n")
        monkeypatch.chdir(tmp_path)
        assert load_settings().port == 8080

    def test_settings_stay_as_they_were_read(self) -> None:
        """The object is frozen: no part of the program can change the configuration of another."""
        settings = load_settings()
        with pytest.raises(ValidationError, match="frozen"):
            settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("BREAKWATER_PORT", "http", "integer"),
        ("BREAKWATER_PORT", "0", "1"),
        ("BREAKWATER_PORT", "65536", "65535"),
        ("BREAKWATER_PORT", "80.5", "integer"),
        ("BREAKWATER_WORKER_METRICS_PORT", "-1", "1"),
        ("BREAKWATER_UPSTREAM_URL", "api.wavespeed.ai", "https://HOST"),
        ("BREAKWATER_UPSTREAM_URL", "ftp://api.wavespeed.ai", "https://HOST"),
        ("BREAKWATER_UPSTREAM_URL", "https://", "https://HOST"),
        ("BREAKWATER_UPSTREAM_URL", "https://api.wavespeed.ai?region=eu", "query"),
        ("BREAKWATER_UPSTREAM_URL", "https://api.wavespeed.ai#top", "fragment"),
        ("BREAKWATER_PUBLIC_URL", f"https://ops:{CANARY}@video.acme.test", "credentials"),
        ("BREAKWATER_PUBLIC_URL", "https://video acme.test", "URL"),
        ("BREAKWATER_ENCRYPTION_KEY", CANARY, "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", KEY[:-1], "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", urlsafe_b64encode(b"x" * 16).decode(), "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", urlsafe_b64encode(b"x" * 33).decode(), "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", f"{KEY},{CANARY}", "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", f"{KEY},", "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", "ключ" * 11, "32 bytes"),
        ("BREAKWATER_MAX_BODY_BYTES", "1MB", "integer"),
        ("BREAKWATER_MAX_BODY_BYTES", "1023", "1024"),
        ("BREAKWATER_MAX_BODY_BYTES", "67108865", "67108864"),
        ("BREAKWATER_POLL_SCALE", "0", "greater than 0"),
        ("BREAKWATER_POLL_SCALE", "-1", "greater than 0"),
        ("BREAKWATER_POLL_SCALE", "101", "100"),
        ("BREAKWATER_POLL_SCALE", "nan", "100"),
        ("BREAKWATER_POLL_SCALE", "inf", "100"),
        ("BREAKWATER_RETRY_SCALE", "fast", "number"),
        ("BREAKWATER_RETRY_SCALE", "0", "greater than 0"),
        ("BREAKWATER_POLL_CONCURRENCY", "0", "1"),
        ("BREAKWATER_POLL_CONCURRENCY", "4097", "4096"),
        ("BREAKWATER_DELIVER_CONCURRENCY", "0", "1"),
        ("BREAKWATER_SHUTDOWN_GRACE_S", "-1", "greater than or equal to 0"),
        ("BREAKWATER_SHUTDOWN_GRACE_S", "nan", "600"),
        ("BREAKWATER_DRAIN_S", "0", "greater than 0"),
        ("BREAKWATER_DRAIN_S", "601", "600"),
        ("BREAKWATER_LOG_LEVEL", "verbose", "'warning'"),
        ("BREAKWATER_UPSTREAM_KEY_FILE", "/nowhere/key", "/nowhere/key"),
        ("BREAKWATER_REDIS_URL", f"http://:{CANARY}@redis", "redis://"),
        ("BREAKWATER_REDIS_URL", f"redis://:{CANARY}:6379", "redis://"),
        ("BREAKWATER_REDIS_URL", "localhost:6379", "redis://"),
        ("BREAKWATER_UPSTREAM_URL", "http:///", "URL"),
        ("BREAKWATER_UPSTREAM_URL", "https://:443", "URL"),
        ("BREAKWATER_UPSTREAM_URL", "https://api.wavespeed.ai:99999", "URL"),
        ("BREAKWATER_UPSTREAM_URL", "https://api.wave\tspeed.ai", "URL"),
        ("BREAKWATER_UPSTREAM_URL", "https://api.wavespeed.ai/api/v3", "without path"),
        ("BREAKWATER_ENCRYPTION_KEY", f"{KEY};{OLD_KEY}", "32 bytes"),
        ("BREAKWATER_ENCRYPTION_KEY", f"{KEY}{CANARY}", "32 bytes"),
        ("BREAKWATER_CALLBACK_ALLOW", "hooks.acme.test,10.0.0.0/99", "10.0.0.0/99"),
        ("WAVESPEED_API_KEY", f"{CANARY}é", "ASCII"),
    ],
)
def test_a_bad_value_is_refused_under_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    """One line: the variable, what it must be, and nothing of a secret."""
    message = refused(monkeypatch, **{variable: value})
    assert message.startswith(f"{variable}: ")
    assert told in message
    assert CANARY not in message
    assert KEY not in message


class TestRequired:
    """What some processes cannot start without."""

    def test_an_encryption_key_can_be_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without one, the line says how to make one."""
        with pytest.raises(BadSetting, match=r"^BREAKWATER_ENCRYPTION_KEY: is required.* head -c 32 /dev/urandom"):
            load_settings(needs_encryption_key=True)
        monkeypatch.setenv("BREAKWATER_ENCRYPTION_KEY", KEY)
        assert load_settings(needs_encryption_key=True).encryption_key == (SecretStr(KEY),)

    def test_an_upstream_key_can_be_required(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The variable or the file: either will do."""
        with pytest.raises(BadSetting, match=r"^WAVESPEED_API_KEY: is required .*BREAKWATER_UPSTREAM_KEY_FILE"):
            load_settings(needs_upstream_key=True)
        mounted = tmp_path / "key"
        mounted.write_text(CANARY)
        monkeypatch.setenv("BREAKWATER_UPSTREAM_KEY_FILE", str(mounted))
        assert load_settings(needs_upstream_key=True).upstream_key_file == mounted
        monkeypatch.delenv("BREAKWATER_UPSTREAM_KEY_FILE")
        monkeypatch.setenv("WAVESPEED_API_KEY", CANARY)
        assert load_settings(needs_upstream_key=True).wavespeed_api_key == SecretStr(CANARY)

    def test_spaces_are_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable of nothing but white space is as good as none."""
        monkeypatch.setenv("WAVESPEED_API_KEY", " \n")
        with pytest.raises(BadSetting, match=r"^WAVESPEED_API_KEY: "):
            load_settings(needs_upstream_key=True)

    def test_a_key_file_holds_a_key(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A file that is empty, or no file at all, is noticed at the start and not at the first submission."""
        empty = tmp_path / "key"
        empty.write_text("\n")
        for path in (empty, tmp_path):
            assert refused(monkeypatch, BREAKWATER_UPSTREAM_KEY_FILE=str(path)).startswith(
                "BREAKWATER_UPSTREAM_KEY_FILE: "
            )


class TestEncryptionKeys:
    """Several keys at once, to rotate."""

    def test_several_keys_keep_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first encrypts; spaces around the comma do not matter."""
        settings = loaded(monkeypatch, BREAKWATER_ENCRYPTION_KEY=f"{KEY} , {OLD_KEY}\n")
        assert [key.get_secret_value() for key in settings.encryption_key] == [KEY, OLD_KEY]

    def test_the_command_in_the_refusal_makes_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Any 32 bytes written as that command writes them are a key, whatever letters they come to."""
        assert {"-", "_"} <= set(KEY + urlsafe_b64encode(b"\xff" * 32).decode())
        for key in (KEY, urlsafe_b64encode(b"\xff" * 32).decode(), urlsafe_b64encode(bytes(32)).decode()):
            assert loaded(monkeypatch, BREAKWATER_ENCRYPTION_KEY=key).encryption_key == (SecretStr(key),)


SECRETS = {
    "BREAKWATER_REDIS_URL": f"redis://:{CANARY}@redis:6379/0",
    "WAVESPEED_API_KEY": CANARY,
    "BREAKWATER_ENCRYPTION_KEY": KEY,
}


class TestSecrets:
    """What is secret stays so."""

    def test_printing_the_settings_hides_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither `repr`, `str`, a dump nor a debugger's line shows a key or a password."""
        settings = loaded(monkeypatch, **SECRETS)
        for shown in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
            assert CANARY not in shown
            assert KEY not in shown

    def test_they_can_be_read_by_whoever_needs_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hidden is not lost."""
        settings = loaded(monkeypatch, **SECRETS)
        assert CANARY in settings.redis_url.get_secret_value()
        assert settings.wavespeed_api_key is not None
        assert settings.wavespeed_api_key.get_secret_value() == CANARY

    def test_a_bad_value_elsewhere_shows_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The refusal of one variable says nothing of the others, and hides what caused it from tracebacks."""
        with pytest.raises(BadSetting) as refusal:
            loaded(monkeypatch, **SECRETS, BREAKWATER_PORT="x")
        assert str(refusal.value).startswith("BREAKWATER_PORT: ")
        assert CANARY not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__

    def test_a_line_break_is_no_part_of_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A secret mounted with a trailing line break is the same secret: no header can hold the break."""
        settings = loaded(monkeypatch, WAVESPEED_API_KEY=f"{CANARY}\n")
        assert settings.wavespeed_api_key == SecretStr(CANARY)


def test_unknown_variables_are_listed() -> None:
    """Variables with our prefix that nothing reads are named in order: they are likely misspelt."""
    environment = {
        "BREAKWATER_PROT": "8080",
        "BREAKWATER_PORT": "8080",
        "BREAKWATER_CALLBACK_ALLOWED": "10.0.0.0/8",
        "BREAKWATER_WAVESPEED_API_KEY": "wk",
        "BREAKWATER_": "",
        "WAVESPEED_API_KEY": "wk",
        "XBREAKWATER_PORT": "1",
        "PATH": "/bin",
    }
    assert unknown_variables(environment) == [
        "BREAKWATER_",
        "BREAKWATER_CALLBACK_ALLOWED",
        "BREAKWATER_PROT",
        "BREAKWATER_WAVESPEED_API_KEY",
    ]
    assert unknown_variables({variable_of(name): "x" for name in Settings.model_fields}) == []
