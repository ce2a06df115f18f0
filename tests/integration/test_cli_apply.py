"""`breakwater tenant apply FILE`: tenants that live in git, as a printed diff and without surprises."""

from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from service.domain.api_keys import digest, mint_api_key
from tests.integration.cli_calls import invoke, printed, refused, set_up

FILE: Final = """
[tenants.acme]
name = "Acme"
models = ["openai/*"]
limits = { rate_per_minute = 60, budget_usd = "250" }
keys = { ci = "sha256:%(key)s" }

[tenants.beta]
"""

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What an operator has set."""
    return set_up(monkeypatch, redis_url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tenants file: `acme` with limits and a key, `beta` with nothing."""
    return write(tmp_path / "tenants.toml", FILE % {"key": "ab" * 32})


def write(path: Path, text: str) -> Path:
    """Write the file."""
    path.write_text(text, "utf-8")
    return path


def applied(path: Path, *options: str) -> dict[str, Any]:
    """Apply the file; each tenant's change."""
    return {change["tenant"]: change for change in printed("tenant", "apply", str(path), *options)}


def kinds(path: Path, *options: str) -> dict[str, str]:
    """Apply the file; what it meant for each tenant."""
    return {tenant: change["kind"] for tenant, change in applied(path, *options).items()}


def audit_length(redis_url: str) -> int:
    """How many administrative actions there were."""
    with Redis.from_url(redis_url) as client:
        return int(client.llen("bw:audit"))


def test_a_file_makes_its_tenants(file: Path) -> None:
    """With what it names, marked as its own; and the diff says field by field what was done."""
    told = invoke("tenant", "apply", str(file))
    assert told.exit_code == 0
    assert told.stdout.splitlines() == [
        "+ acme",
        "    name: acme -> Acme",
        "    models: unset -> ['openai/*']",
        "    limits.rate_per_minute: unset -> 60",
        "    limits.budget_usd: unset -> 250.00",
        "    + key ci",
        "+ beta",
        "2 of 2 tenants changed.",
    ]
    acme, beta = printed("tenant", "list")
    assert (acme["name"], acme["models"], acme["limits"]["budget_usd"]) == ("Acme", ["openai/*"], "250.00")
    assert acme["managed"] == ["limits.budget_usd", "limits.rate_per_minute", "models", "name"]
    assert (beta["id"], beta["name"]) == ("beta", "beta")
    assert [key["name"] for key in printed("key", "list", "acme")] == ["ci"]


def test_applying_again_changes_nothing(file: Path, redis_url: str) -> None:
    """The second run says so, writes nothing and leaves no line in the audit log."""
    applied(file)
    before, audited = (printed("tenant", "list"), printed("key", "list", "acme")), audit_length(redis_url)
    again = applied(file)
    assert [(c["kind"], c["fields"], c["keys_added"], c["keys_revoked"]) for c in again.values()] == [
        ("unchanged", [], [], [])
    ] * 2
    assert (printed("tenant", "list"), printed("key", "list", "acme")) == before
    assert audit_length(redis_url) == audited
    assert invoke("tenant", "apply", str(file)).stdout.splitlines()[-1] == "0 of 2 tenants changed."


def test_a_dry_run_tells_the_same_and_does_nothing(file: Path, redis_url: str) -> None:
    """For new tenants, changed ones and those to be deleted."""
    expected = applied(file, "--dry-run")
    assert printed("tenant", "list") == []
    assert applied(file) == expected
    write(file, '[tenants.acme]\nname = "Other"\n')
    audited, before = audit_length(redis_url), printed("tenant", "list")
    expected = applied(file, "--dry-run", "--prune")
    assert {tenant: change["kind"] for tenant, change in expected.items()} == {"acme": "update", "beta": "delete"}
    assert "2 of 2 tenants would change." in invoke("tenant", "apply", str(file), "--dry-run", "--prune").stdout
    assert (audit_length(redis_url), printed("tenant", "list")) == (audited, before)
    assert applied(file, "--prune") == expected


def test_what_the_file_changes_is_changed(file: Path) -> None:
    """A field it no longer names goes back to its default, a key it no longer lists is revoked; the rest is left."""
    applied(file)
    by_hand = printed("key", "create", "acme", "--name", "by hand")
    printed("tenant", "set", "acme", "--daily", "9")
    key = "cd" * 32
    keys = f'keys = {{ cd = "sha256:{key}" }}'
    write(file, f"[tenants.acme]\nlimits = {{ rate_per_minute = 30 }}\n{keys}\n[tenants.beta]\n")
    change = applied(file)["acme"]
    assert {each["field"]: (each["before"], each["after"]) for each in change["fields"]} == {
        "name": ("Acme", "acme"),
        "models": (["openai/*"], None),
        "limits.rate_per_minute": (60, 30),
        "limits.budget_usd": ("250.00", None),
    }
    assert (change["kind"], change["keys_added"], change["keys_revoked"]) == ("update", ["cd"], ["ci"])
    assert printed("tenant", "show", "acme")["limits"]["daily"] == 9
    assert {key["name"]: key["id"] for key in printed("key", "list", "acme")}["by hand"] == by_hand["id"]
    assert {key["name"] for key in printed("key", "list", "acme")} == {"by hand", "cd"}


def test_a_tenant_that_left_the_file_is_only_deleted_by_prune(file: Path) -> None:
    """Until then it is named at every run; a tenant made by hand is never touched."""
    applied(file)
    printed("tenant", "create", "by-hand")
    write(file, "[tenants.acme]\n")
    assert kinds(file) == {"acme": "update", "beta": "orphan"}
    assert "? beta: not in the file; --prune deletes it" in invoke("tenant", "apply", str(file)).stdout
    assert [tenant["id"] for tenant in printed("tenant", "list")] == ["acme", "beta", "by-hand"]
    assert kinds(file, "--prune") == {"acme": "unchanged", "beta": "delete"}
    assert [tenant["id"] for tenant in printed("tenant", "list")] == ["acme", "by-hand"]
    assert kinds(file, "--prune") == {"acme": "unchanged"}


def test_a_tenant_made_by_hand_is_taken_over(file: Path) -> None:
    """From then on the fields the file names are the file's, and its suspension is nobody's but the operators'."""
    printed("tenant", "create", "acme", "--name", "By hand", "--daily", "9")
    printed("tenant", "suspend", "acme")
    assert kinds(file) == {"acme": "update", "beta": "create"}
    shown = printed("tenant", "show", "acme")
    assert (shown["name"], shown["limits"]["daily"], shown["state"]) == ("Acme", 9, "suspended")
    assert "name: managed by the tenants file" in refused("tenant", "set", "acme", "--name", "By hand")
    assert printed("tenant", "set", "acme", "--daily", "8")["limits"]["daily"] == 8
    assert printed("tenant", "set", "acme", "--name", "By hand", "--force")["name"] == "By hand"
    assert kinds(file) == {"acme": "update", "beta": "unchanged"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[tenants.acme", "not TOML"),
        ("[tenant.acme]", "tenant: "),
        ("[tenants.Acme]", "tenants.Acme: "),
        ("tenants = 5", "tenants: "),
        ("[tenants]\nacme = 5", "tenants.acme: "),
        ("[tenants.acme]\nlimits = { daily = -1 }", "tenants.acme.limits.daily: "),
        ('[tenants.acme]\nlimits = { daily = "5" }', "tenants.acme.limits.daily: "),
        ("[tenants.acme]\nlimits = { budget_usd = 5 }", "tenants.acme.limits.budget_usd: "),
        ("[tenants.acme]\nlimits = { burst = 5 }", "tenants.acme.limits: "),
        ('[tenants.acme]\nmodels = ["a b"]', "tenants.acme.models.0: "),
        ('[tenants.acme]\nname = " "', "tenants.acme.name: "),
        ('[tenants.acme]\nstate = "suspended"', "tenants.acme.state: "),
        ('[tenants.acme]\nkeys = { ci = "bw_plain" }', "tenants.acme.keys.ci: "),
        ('[tenants.acme]\nkeys = ["ci"]', "tenants.acme.keys: "),
        ('[tenants.acme]\ncallback_allow = ["10.0.0.0/99"]', "tenants.acme.callback_allow: "),
    ],
)
@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_a_bad_file_is_one_line(file: Path, option: tuple[str, ...], text: str, named: str) -> None:
    """It names file, tenant and field, and nothing of the file is applied, not even what comes before."""
    write(file, f"[tenants.aaa]\n{text}\n" if not text.startswith("tenants =") else text)
    line = refused("tenant", "apply", str(file), *option)
    assert line.startswith(f"{file}: ")
    assert named in line
    assert printed("tenant", "list") == []


def test_a_key_in_a_file_is_not_repeated(file: Path) -> None:
    """Whoever writes a key instead of its digest does not find it in a log."""
    key = mint_api_key()
    write(file, f'[tenants.acme]\nkeys = {{ ci = "{key}" }}\n')
    assert key not in refused("tenant", "apply", str(file))


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """And one that is no text is one line."""
    assert invoke("tenant", "apply", str(tmp_path / "nowhere.toml")).exit_code == 2
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "binary.toml" in refused("tenant", "apply", str(tmp_path / "binary.toml"))


def test_a_key_moves_from_one_tenant_to_another(file: Path) -> None:
    """In one run, in either direction: what is taken away comes before what is given."""
    key = digest(mint_api_key())
    first, second = (f'keys = {{ ci = "sha256:{key}" }}\n' if has else "" for has in (True, False))
    write(file, f"[tenants.acme]\n{first}[tenants.beta]\n{second}")
    applied(file)
    write(file, f"[tenants.acme]\n{second}[tenants.beta]\n{first}")
    assert applied(file)["beta"]["keys_added"] == ["ci"]
    write(file, f"[tenants.acme]\n{first}[tenants.beta]\n{second}")
    assert applied(file)["acme"]["keys_added"] == ["ci"]
    assert ([k["name"] for k in printed("key", "list", "acme")], printed("key", "list", "beta")) == (["ci"], [])


def test_an_issued_key_is_taken_over(file: Path) -> None:
    """Its digest in the file makes it the file's: one key, under the file's name, revoked when it leaves the file."""
    printed("tenant", "create", "acme")
    issued = printed("key", "create", "acme", "--name", "by hand")
    write(file, f'[tenants.acme]\nkeys = {{ ci = "{issued["sha256"]}" }}\n')
    assert applied(file)["acme"]["keys_added"] == ["ci"]
    assert [key["name"] for key in printed("key", "list", "acme")] == ["ci"]
    assert kinds(file) == {"acme": "unchanged"}
    write(file, "[tenants.acme]\n")
    assert applied(file)["acme"]["keys_revoked"] == ["ci"]
    assert printed("key", "list", "acme") == []


def test_another_tenant_s_key_is_refused(file: Path) -> None:
    """One line, without the digest; a key opens one tenant only."""
    printed("tenant", "create", "other")
    issued = printed("key", "create", "other")
    write(file, f'[tenants.acme]\nkeys = {{ ci = "{issued["sha256"]}" }}\n')
    line = refused("tenant", "apply", str(file))
    assert "ci" in line
    assert "acme" in line
    assert issued["sha256"].removeprefix("sha256:") not in line
    assert [key["id"] for key in printed("key", "list", "other")] == [issued["id"]]
