"""The `breakwater` command as operators and scripts use it."""

import asyncio
from base64 import urlsafe_b64encode
from typing import Final

import httpx2
import pytest

from service.app import create_app
from service.domain.api_keys import digest
from service.resources import open_resources
from service.settings import load_settings
from tests.integration.cli_calls import KEY, invoke, printed, process, refused, set_up

COMMANDS: Final = ("serve", "worker", "dev", "simulate", "listen", "tenant", "key", "endpoint", "delivery", "secrets")


@pytest.fixture
def environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What an operator has set."""
    return set_up(monkeypatch, redis_url)


def test_help_lists_every_command_and_needs_no_configuration() -> None:
    """As a process, with an environment that would stop any command."""
    ended = process("--help", BREAKWATER_PORT="no port")
    assert (ended.returncode, ended.stderr) == (0, "")
    listed = [line.split()[0] for line in ended.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert [name for name in COMMANDS if name not in listed] == []


@pytest.mark.parametrize(
    "arguments",
    [
        *((name,) for name in COMMANDS if name not in ("simulate",)),
        *(
            ("tenant", name)
            for name in ("create", "set", "show", "list", "suspend", "resume", "delete", "usage", "apply")
        ),
        *(("key", name) for name in ("create", "list", "revoke")),
    ],
)
def test_every_command_explains_itself(arguments: tuple[str, ...]) -> None:
    """`--help` of each command ends well and says what it is for."""
    result = invoke(*arguments, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_the_version_is_the_package_s() -> None:
    """`--version` names program and version."""
    assert invoke("--version").stdout.startswith("breakwater, version ")


def test_an_unknown_command_is_a_usage_error() -> None:
    """Exit 2, as with every usage error."""
    assert invoke("tennant").exit_code == 2


@pytest.mark.usefixtures("environment")
def test_a_person_is_told_what_comes_next() -> None:
    """Without `--json` each command says what to do with what it made."""
    assert "breakwater key create acme" in invoke("tenant", "create", "acme").stdout
    made = invoke("key", "create", "acme").stdout
    assert "bw_" in made
    assert "breakwater key revoke acme key_" in made
    endpoint = invoke("endpoint", "create", "acme", "http://127.0.0.1:9/").stdout
    assert "whsec_" in endpoint
    assert "whsec_" not in invoke("endpoint", "list", "acme").stdout


@pytest.mark.usefixtures("environment")
def test_endpoints_are_registered_and_listed() -> None:
    """The secret is printed once, at the creation."""
    printed("tenant", "create", "acme")
    url, event = "http://127.0.0.1:9/hook", "prediction.completed"
    made = printed("endpoint", "create", "acme", url, "--event", event, "--description", "ours")
    assert made.pop("secret").startswith("whsec_")
    assert set(made) == {"id", "tenant", "url", "events", "state", "disabled_by", "description", "created_at"}
    assert (made["tenant"], made["url"], made["events"], made["state"]) == ("acme", url, [event], "enabled")
    assert printed("endpoint", "list", "acme") == [made]


@pytest.mark.usefixtures("environment")
def test_a_created_key_works_until_it_is_revoked() -> None:
    """At the gateway, whose configuration is the command's."""

    async def status(key: str) -> int:
        async with open_resources(load_settings()) as resources:
            transport = httpx2.ASGITransport(create_app(resources))
            headers = {"authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
                return (await client.get("/v1/endpoints")).status_code

    printed("tenant", "create", "acme")
    made = printed("key", "create", "acme", "--name", "ci")
    assert set(made) == {"id", "name", "tenant", "created_at", "last_used_at", "expires_at", "key", "sha256"}
    assert made["sha256"] == f"sha256:{digest(made['key'])}"
    assert (made["created_at"][-1], made["last_used_at"], made["expires_at"]) == ("Z", None, None)
    assert (made["name"], made["tenant"], made["key"][:3]) == ("ci", "acme", "bw_")
    assert asyncio.run(status(made["key"])) == 200
    assert printed("key", "revoke", "acme", made["id"]) == {"id": made["id"], "tenant": "acme", "revoked": True}
    assert asyncio.run(status(made["key"])) == 401
    assert "key" in refused("key", "revoke", "acme", made["id"])


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("tenant", "create", "acme"), "acme"),
        (("tenant", "create", "Not An Id"), "tenant: "),
        (("tenant", "create", "beta", "--name", "x" * 101), "name: "),
        (("tenant", "create", "beta", "--callback-allow", "127.0.0.1/32"), "callback_allow: "),
        (("tenant", "create", "beta", "--callback-allow", "10.0.0.0/99"), "callback_allow: "),
        (("tenant", "create", "beta", "--daily", "-1"), "limits.daily: "),
        (("tenant", "create", "beta", "--burst", "5"), "limits: burst needs rate_per_minute"),
        (("tenant", "create", "beta", "--budget-usd", "$5"), "limits.budget_usd: "),
        (("tenant", "create", "beta", "--model", "a b"), "models.0: "),
        (("tenant", "set", "acme", "--weight", "0"), "weight: "),
        (("tenant", "set", "nobody", "--weight", "2"), "nobody"),
        (("tenant", "show", "nobody"), "nobody"),
        (("tenant", "show", "acme:keys"), "acme:keys"),
        (("tenant", "suspend", "nobody"), "nobody"),
        (("tenant", "resume", "nobody"), "nobody"),
        (("tenant", "delete", "nobody"), "nobody"),
        (("tenant", "usage", "nobody"), "nobody"),
        (("tenant", "usage", "--since", "yesterday"), "since: "),
        (("tenant", "usage", "acme", "--until", "2026-02-30"), "until: "),
        (("key", "list", "nobody"), "nobody"),
        (("key", "create", "nobody"), "nobody"),
        (("key", "create", "acme", "--name", " "), "name: "),
        (("key", "revoke", "acme", "key_nothing"), "key_nothing"),
        (("key", "revoke", "nobody", "key_nothing"), "key_nothing"),
        (("endpoint", "create", "nobody", "http://127.0.0.1:9/"), "nobody"),
        (("endpoint", "create", "acme", "https://10.1.1.1/"), "BREAKWATER_CALLBACK_ALLOW"),
        (("endpoint", "create", "acme", "http://127.0.0.1:9/", "--event", "a.b"), "a.b"),
        (("endpoint", "create", "acme", "http://127.0.0.1:9/", "--description", "x" * 201), "description: "),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: tuple[str, ...], named: str) -> None:
    """Exit 1, nothing on standard output, and the line names what is at fault."""
    printed("tenant", "create", "acme")
    assert named in refused(*arguments)


@pytest.mark.usefixtures("environment")
def test_nothing_is_listed_as_an_empty_list() -> None:
    """Scripts get JSON also when there is nothing."""
    assert printed("tenant", "list") == []
    printed("tenant", "create", "acme")
    for arguments in (("endpoint", "list", "acme"), ("key", "list", "acme"), ("tenant", "usage")):
        assert printed(*arguments) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BREAKWATER_REDIS_URL", "http://nowhere"),
        ("BREAKWATER_PORT", "70000"),
        ("BREAKWATER_ENCRYPTION_KEY", "short"),
        ("BREAKWATER_CALLBACK_ALLOW", "10.0.0.0/99"),
        ("BREAKWATER_MODELS_FILE", "/nowhere/models.toml"),
        ("WAVESPEED_API_KEY", "two words"),
    ],
)
def test_a_bad_setting_is_named(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    """In one line, whatever command was asked for."""
    environment.setenv(name, value)
    assert name in refused("tenant", "list")


def test_a_misspelt_setting_is_warned_about(environment: pytest.MonkeyPatch) -> None:
    """On standard error; the command goes on, and its JSON is untouched."""
    environment.setenv("BREAKWATER_REDIS_ULR", "redis://x")
    result = invoke("tenant", "list", "--json")
    assert (result.exit_code, result.stdout) == (0, "[]\n")
    assert result.stderr == "warning: BREAKWATER_REDIS_ULR is not a setting of this version\n"


def test_a_store_that_is_away_is_one_line(environment: pytest.MonkeyPatch) -> None:
    """No traceback, and no password: the setting, and the command that finds out more."""
    environment.setenv("BREAKWATER_REDIS_URL", "redis://someone:hunter2@127.0.0.1:9/0")
    line = refused("tenant", "list")
    assert "hunter2" not in line
    assert "BREAKWATER_REDIS_URL" in line
    assert "breakwater check" in line


def test_another_encryption_key_is_refused(environment: pytest.MonkeyPatch) -> None:
    """Nothing is written that the running system could not read."""
    printed("tenant", "create", "acme")
    environment.setenv("BREAKWATER_ENCRYPTION_KEY", urlsafe_b64encode(b"d" * 32).decode())
    assert "BREAKWATER_ENCRYPTION_KEY" in refused("tenant", "create", "beta")
    environment.setenv("BREAKWATER_ENCRYPTION_KEY", KEY)
    assert [tenant["id"] for tenant in printed("tenant", "list")] == ["acme"]


def test_what_needs_the_encryption_key_says_so(environment: pytest.MonkeyPatch) -> None:
    """Reading needs none."""
    environment.delenv("BREAKWATER_ENCRYPTION_KEY")
    assert printed("tenant", "list") == []
    assert "BREAKWATER_ENCRYPTION_KEY" in refused("tenant", "create", "acme")


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"BREAKWATER_ENCRYPTION_KEY": KEY}, "WAVESPEED_API_KEY"),
        ({"WAVESPEED_API_KEY": "sk"}, "BREAKWATER_ENCRYPTION_KEY"),
    ],
)
def test_a_process_without_its_keys_does_not_start(command: str, given: dict[str, str], named: str) -> None:
    """Exit 1 with one line that names the variable."""
    ended = process(command, **given)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert named in line


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_process_warns_about_a_misspelt_setting(command: str) -> None:
    """Before it starts, also when it then cannot."""
    ended = process(command, BREAKWATER_PROT="8080")
    assert ended.returncode == 1
    assert "warning: BREAKWATER_PROT is not a setting of this version" in ended.stderr.splitlines()


def test_the_simulator_lists_its_options() -> None:
    """The command hands everything on, `--help` too."""
    ended = process("simulate", "--help")
    assert ended.returncode == 0
    assert "--video-s" in ended.stdout
