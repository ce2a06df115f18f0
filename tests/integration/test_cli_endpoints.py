"""`breakwater endpoint` and `breakwater delivery`: what an operator does with a team's callbacks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.domain.answers import initial_answer
from service.domain.moves import confirmed, observed
from service.domain.predictions import Observation, Prediction, State
from service.resources import Resources, open_resources
from service.settings import load_settings
from tests.integration.cli_calls import invoke, printed, refused, set_up

MODEL = "openai/sora-2"
NOW_MS = 1_800_000_000_000
ID = "0198c5a2f3b47c11a9d2e4f60718293a"

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What an operator has set, and a terminal wide enough for any table."""
    monkeypatch.setenv("COLUMNS", "250")
    return set_up(monkeypatch, redis_url)


def do(use: Callable[[Resources], Awaitable[object]]) -> None:
    """Do something in Redis beforehand."""

    async def session() -> None:
        async with open_resources(load_settings()) as resources:
            await use(resources)

    asyncio.run(session())


def registered() -> dict[str, Any]:
    """A tenant and its endpoint, as the command printed it."""
    do(lambda resources: resources.administer.create_tenant("acme"))
    created: dict[str, Any] = printed("endpoint", "create", "acme", "http://127.0.0.1:9/hook")
    return created


def dead_letter(endpoint: str) -> str:
    """A delivery to that endpoint that was given up; its id."""
    intent = Prediction(
        id=ID,
        tenant="acme",
        model=MODEL,
        state=State.SUBMITTING,
        created_at_ms=NOW_MS,
        money="held",
        answer=initial_answer(ID, MODEL, NOW_MS),
    )

    async def use(resources: Resources) -> None:
        prediction = (await resources.ledger.admit(intent, 70.0, 3600.0)).prediction
        move = resources.submit.transition
        prediction = await move(prediction, lambda p, now: confirmed(p, "up-1", now))
        seen = Observation("completed", "completed", {"outputs": ["https://cdn.example/1.mp4"]})
        await move(prediction, lambda p, now: observed(p, seen, now))
        leased = await resources.schedule.lease("deliver", 1, 25.0)
        delivery = await resources.deliveries.load(leased.ids[0])
        assert delivery is not None
        attempt = {"number": 1, "at": "2026-11-23T12:00:00Z", "outcome": "rejected", "error": "it said no"}
        await resources.deliveries.finish_attempt(delivery, leased.token, "dead", attempt, 0.0, "answers")

    do(use)
    return f"{ID}-1-ep_{endpoint[-16:]}"


def test_an_endpoint_is_changed_step_by_step() -> None:
    """What is named changes, the rest stays; off, on, and gone."""
    endpoint = registered()
    one = ("acme", endpoint["id"])
    changed = printed("endpoint", "update", *one, "--event", "prediction.failed", "--description", "failures")
    assert (changed["events"], changed["description"]) == (["prediction.failed"], "failures")
    assert printed("endpoint", "update", *one, "--all-events")["events"] == []
    off = printed("endpoint", "disable", *one)
    assert (off["state"], off["disabled_by"]) == ("disabled", "operator")
    assert printed("endpoint", "enable", *one)["state"] == "enabled"
    assert "deleted" in invoke("endpoint", "delete", *one).output
    assert printed("endpoint", "list", "acme") == []


def test_an_endpoint_is_shown_with_its_health() -> None:
    """Both ways of printing; never a secret."""
    endpoint = registered()
    dead_letter(endpoint["id"])
    shown = printed("endpoint", "show", "acme", endpoint["id"])
    assert (shown["health"]["failed"], shown["health"]["dead"]) == (1, 1)
    assert shown["health"]["last_failure"] == "it said no"
    table = invoke("endpoint", "show", "acme", endpoint["id"]).output
    assert "it said no" in table
    assert endpoint["secret"] not in table + str(shown)


def test_a_new_secret_is_shown_once() -> None:
    """And it is another one."""
    endpoint = registered()
    rotated = printed("endpoint", "rotate-secret", "acme", endpoint["id"])
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != endpoint["secret"]


def test_deliveries_are_listed_and_shown() -> None:
    """With every attempt."""
    endpoint = registered()
    delivery = dead_letter(endpoint["id"])
    (listed,) = printed("delivery", "list", "acme")
    assert (listed["id"], listed["tenant"], listed["state"]) == (delivery, "acme", "dead")
    assert printed("delivery", "list", "acme", "--prediction", ID) == [listed]
    assert printed("delivery", "list", "acme", "--endpoint", endpoint["id"], "--state", "dead") == [listed]
    assert printed("delivery", "list", "acme", "--state", "delivered") == []
    shown = printed("delivery", "show", delivery)
    assert [attempt["error"] for attempt in shown["attempts_made"]] == ["it said no"]
    assert "it said no" in invoke("delivery", "show", delivery).output
    assert delivery in invoke("delivery", "list", "acme").output


def test_dead_letters_are_sent_again() -> None:
    """One, those of an endpoint since a time, or all."""
    endpoint = registered()
    delivery = dead_letter(endpoint["id"])
    assert [one["id"] for one in printed("delivery", "dead")] == [delivery]
    assert printed("delivery", "dead", "--tenant", "rival") == []
    assert printed("delivery", "resend-dead", "--tenant", "rival") == {"resent": 0}
    assert printed("delivery", "resend-dead", "--since", "2100-01-01T00:00:00Z") == {"resent": 0}
    assert printed("endpoint", "recover", "acme", endpoint["id"], "--since", "2020-01-01T00:00:00Z") == {"recovered": 1}
    assert printed("delivery", "dead") == []
    assert "sent again" in invoke("delivery", "resend", delivery).output
    assert printed("delivery", "resend-dead") == {"resent": 0}


@pytest.mark.parametrize(
    "arguments",
    [
        ("endpoint", "show", "acme", "ep_unknown"),
        ("endpoint", "update", "acme", "ep_unknown", "--description", "x"),
        ("endpoint", "rotate-secret", "acme", "ep_unknown"),
        ("endpoint", "delete", "acme", "ep_unknown"),
        ("endpoint", "recover", "acme", "ep_unknown", "--since", "2026-01-01T00:00:00Z"),
        ("endpoint", "test", "acme", "ep_unknown"),
        ("delivery", "show", "unknown"),
        ("delivery", "resend", "unknown"),
        ("delivery", "list", "rival"),
    ],
)
def test_what_there_is_not_is_one_line_of_error(arguments: tuple[str, ...]) -> None:
    """With status 1."""
    registered()
    assert "not found" in (said := refused(*arguments)) or "no " in said or "not exist" in said
