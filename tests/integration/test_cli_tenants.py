"""`breakwater tenant` and `breakwater key`: limits, suspension, deletion, usage, keys."""

import asyncio
import csv
import io
from typing import Any, Final

import pytest

from service.domain.answers import initial_answer
from service.domain.moves import ended_by_gateway
from service.domain.predictions import Prediction, State
from service.resources import Resources, open_resources
from service.settings import load_settings
from tests.integration.cli_calls import invoke, printed, refused, set_up

NO_LIMITS: Final[dict[str, Any]] = {
    **dict.fromkeys(("rate_per_minute", "burst", "concurrency", "daily", "monthly", "budget_usd", "max_queued")),
    "shadow": [],
}
MODEL: Final = "openai/sora-2"

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What an operator has set, and a terminal wide enough for any table."""
    monkeypatch.setenv("COLUMNS", "250")
    return set_up(monkeypatch, redis_url)


def admit(prediction_id: str, failed: bool = False) -> str:
    """Admit a prediction of `acme` at 40 cents, and end it as failed where asked for; the day it is booked to."""
    intent = Prediction(
        id=prediction_id,
        tenant="acme",
        model=MODEL,
        state=State.SUBMITTING,
        created_at_ms=1_800_000_000_000,
        price_micros=400_000,
        money="held",
        answer=initial_answer(prediction_id, MODEL, 1_800_000_000_000),
    )

    async def use(resources: Resources) -> str:
        admitted = (await resources.ledger.admit(intent, 70.0, 3600.0)).prediction
        if failed:
            change = ended_by_gateway(admitted, State.FAILED, "no", 1_800_000_000_000)
            assert change is not None
            await resources.predictions.move(admitted, change, next_look_s=None)
        return admitted.day

    async def session() -> str:
        async with open_resources(load_settings()) as resources:
            return await use(resources)

    return asyncio.run(session())


def test_tenants_are_created_and_listed() -> None:
    """Both in the admin API's shape, in which everything given is found again."""
    acme = printed("tenant", "create", "acme", "--name", "Acme & Co", "--callback-allow", "*.svc.cluster.local")
    assert acme["created_at"].endswith("Z")
    assert acme == {
        "id": "acme",
        "name": "Acme & Co",
        "weight": 1,
        "limits": NO_LIMITS,
        "models": None,
        "callback_allow": ["*.svc.cluster.local"],
        "state": "active",
        "managed": [],
        "created_at": acme["created_at"],
    }
    beta = printed("tenant", "create", "beta")
    assert (beta["name"], beta["callback_allow"]) == ("beta", None)
    assert printed("tenant", "list") == [acme, beta]
    assert printed("tenant", "show", "acme") == acme
    listed = invoke("tenant", "list").stdout
    assert "Acme & Co" in listed
    assert "none" in listed


def test_a_tenant_is_created_with_its_limits() -> None:
    """Every option is a field; lists are given by repeating, callback lists with commas too."""
    limits = ("--rate-per-minute", "60", "--burst", "10", "--concurrency", "4", "--daily", "500", "--monthly", "10000")
    money = ("--budget-usd", "250", "--shadow", "daily", "--shadow", "rate", "--weight", "3")
    lists = ("--model", "openai/*", "--model", "a/b", "--callback-allow", "10.0.0.0/8,a.example")
    acme = printed("tenant", "create", "acme", *limits, *money, *lists)
    assert acme["limits"] == {
        "rate_per_minute": 60,
        "burst": 10,
        "concurrency": 4,
        "daily": 500,
        "monthly": 10_000,
        "budget_usd": "250.00",
        "max_queued": None,
        "shadow": ["daily", "rate"],
    }
    assert (acme["weight"], acme["models"]) == (3, ["openai/*", "a/b"])
    assert acme["callback_allow"] == ["10.0.0.0/8", "a.example"]
    assert "budget_usd 250.00" in invoke("tenant", "list").stdout


def test_set_changes_what_is_given() -> None:
    """And leaves the rest; a limit is lifted by name, and its burst goes with a rate."""
    before = printed("tenant", "create", "acme", "--rate-per-minute", "60", "--burst", "5", "--daily", "9")
    after = printed("tenant", "set", "acme", "--daily", "7", "--budget-usd", "1.5", "--name", "Acme")
    assert after == {**before, "name": "Acme", "limits": {**before["limits"], "daily": 7, "budget_usd": "1.50"}}
    assert printed("tenant", "set", "acme") == after
    lifted = printed("tenant", "set", "acme", "--no-limit", "daily", "--no-limit", "rate_per_minute")
    assert lifted["limits"] == {**NO_LIMITS, "budget_usd": "1.50"}
    assert printed("tenant", "show", "acme") == lifted
    assert "breakwater tenant show acme" in invoke("tenant", "set", "acme", "--weight", "2").stdout


def test_show_is_a_table_for_people() -> None:
    """A field a row, limits by their paths."""
    printed("tenant", "create", "acme", "--daily", "7", "--model", "openai/*")
    rows = [
        [cell.strip() for cell in line.split("│")[1:3]] for line in invoke("tenant", "show", "acme").stdout.splitlines()
    ]
    assert ["limits.daily", "7"] in rows
    assert ["limits.monthly", ""] in rows
    assert ["models", "['openai/*']"] in rows


def test_a_tenant_is_suspended_and_resumed() -> None:
    """Its state is all that changes, and a person is told how to end it."""
    before = printed("tenant", "create", "acme")
    assert printed("tenant", "suspend", "acme") == {**before, "state": "suspended"}
    assert printed("tenant", "show", "acme")["state"] == "suspended"
    assert printed("tenant", "resume", "acme") == before
    assert "breakwater tenant resume acme" in invoke("tenant", "suspend", "acme").stdout
    assert "acme" in invoke("tenant", "resume", "acme").stdout


def test_a_tenant_is_deleted_when_nothing_of_it_runs() -> None:
    """One line says what stands in the way; once gone it is gone, with its keys."""
    printed("tenant", "create", "acme")
    printed("key", "create", "acme")
    admit("p1")
    assert "1 predictions that have not ended" in refused("tenant", "delete", "acme")
    printed("tenant", "create", "beta")
    assert printed("tenant", "delete", "beta") == {"id": "beta", "deleted": True}
    assert [tenant["id"] for tenant in printed("tenant", "list")] == ["acme"]
    printed("tenant", "create", "beta")
    assert "Tenant beta deleted." in invoke("tenant", "delete", "beta").stdout


def test_usage_as_json_csv_and_table() -> None:
    """The same columns and values in each; of one tenant or of all."""
    printed("tenant", "create", "acme")
    printed("tenant", "create", "beta")
    day = admit("p1")
    if admit("p2", failed=True) != day:  # midnight has just passed: the new day has time for both
        day = admit("p3")
    days_asked = ("--since", day, "--until", day)
    row = {
        "tenant": "acme",
        "day": day,
        "model": MODEL,
        "admitted": 2,
        "refused": 0,
        "completed": 0,
        "failed": 1,
        "canceled": 0,
        "expired": 0,
        "held_usd": "0.40",
        "settled_usd": "0.00",
        "released_usd": "0.40",
    }
    assert printed("tenant", "usage", "acme", *days_asked) == [row]
    assert printed("tenant", "usage", *days_asked) == [row]
    assert printed("tenant", "usage", "beta", *days_asked) == []
    written = invoke("tenant", "usage", "acme", *days_asked, "--csv")
    assert (written.exit_code, written.stderr) == (0, "")
    cells = {name: str(value) for name, value in row.items()}
    assert list(csv.DictReader(io.StringIO(written.stdout))) == [cells]
    assert len(written.stdout.splitlines()) == 2
    table = invoke("tenant", "usage", *days_asked).stdout
    assert all(value in table for value in (*cells, *cells.values()))


def test_keys_are_listed_without_themselves() -> None:
    """Oldest first, with their dates; what was never is told so to people."""
    printed("tenant", "create", "acme")
    made = [
        printed("key", "create", "acme", "--name", "a"),
        printed("key", "create", "acme", "--expires-in-days", "30"),
    ]
    texts = [each.pop(name) for each in made for name in ("key", "sha256")]
    listed: list[dict[str, Any]] = printed("key", "list", "acme")
    assert listed == made
    assert [each["name"] for each in listed] == ["a", "default"]
    assert listed[0]["expires_at"] is None
    assert listed[1]["expires_at"] > listed[1]["created_at"]
    table = invoke("key", "list", "acme").stdout
    assert all(each["id"] in table for each in made)
    assert "never" in table
    assert not [text for text in texts if text in table]
    printed("key", "revoke", "acme", made[0]["id"])
    assert printed("key", "list", "acme") == made[1:]


def test_a_table_hides_nothing_where_it_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piped, or on 80 columns: the key id that revoking asks for is there in full, and so is every number."""
    monkeypatch.delenv("COLUMNS")
    printed("tenant", "create", "acme")
    made = printed("key", "create", "acme")
    assert made["id"] in invoke("key", "list", "acme").stdout
    day = admit("p1")
    table = invoke("tenant", "usage", "acme", "--since", day, "--until", day).stdout
    assert [value for value in (MODEL, day, "settled_usd", "0.40") if value not in table] == []


@pytest.mark.parametrize("days", ["0", "-1", "3651", "x"])
def test_a_key_lives_for_whole_days(days: str) -> None:
    """Anything else is a usage error."""
    printed("tenant", "create", "acme")
    result = invoke("key", "create", "acme", "--expires-in-days", days)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--expires-in-days" in result.stderr


@pytest.mark.parametrize("option", [("--shadow", "speed"), ("--no-limit", "speed"), ("--daily", "many")])
def test_a_wrong_option_is_a_usage_error(option: tuple[str, str]) -> None:
    """Exit 2, and the option is named."""
    printed("tenant", "create", "acme")
    result = invoke("tenant", "set", "acme", *option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert option[0] in result.stderr
