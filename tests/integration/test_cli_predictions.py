"""`breakwater prediction`: where one stands, canceling it, and what is stuck or was never closed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.domain.answers import initial_answer
from service.domain.moves import confirmed, ended_by_gateway, orphaned
from service.domain.predictions import Prediction, State
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


def admitted(stuck_after_s: float = 3_600.0) -> Prediction:
    """A running prediction of `acme`."""
    intent = Prediction(
        id=ID,
        tenant="acme",
        model=MODEL,
        state=State.SUBMITTING,
        created_at_ms=NOW_MS,
        input=b'{"prompt":"a secret prompt"}',
        price_micros=400_000,
        money="held",
        answer=initial_answer(ID, MODEL, NOW_MS),
    )

    async def use(resources: Resources) -> None:
        await resources.administer.create_tenant("acme")
        prediction = (await resources.ledger.admit(intent, 70.0, 3600.0, None, stuck_after_s)).prediction
        await resources.submit.transition(prediction, lambda p, now: confirmed(p, "up-1", now))
        if stuck_after_s < 0:
            await resources.commands("ZADD", "bw:open", 1, ID)

    do(use)
    return intent


def test_one_is_shown_with_all_that_operators_need_and_no_prompt() -> None:
    """State, money, upstream id and how it is known; neither input nor outputs."""
    admitted()
    shown = printed("prediction", "show", ID)
    assert (shown["id"], shown["tenant"], shown["state"], shown["money"]) == (ID, "acme", "created", "held")
    assert (shown["upstream_id"], shown["evidence"], shown["price_usd"]) == ("up-1", "answer", "0.40")
    assert shown["ended_at"] is None
    table = invoke("prediction", "show", ID)
    assert table.exit_code == 0
    assert "up-1" in table.stdout
    assert "secret prompt" not in table.stdout


def test_an_unknown_one_is_one_clear_line() -> None:
    """No trace, whatever was asked for."""
    for arguments in (("show", "0" * 32), ("cancel", "0" * 32)):
        assert "not found" in refused("prediction", *arguments)


def test_canceling_ends_it_and_says_what_comes() -> None:
    """Canceled once, and again without an error; one that has ended otherwise is refused."""
    admitted()
    told = invoke("prediction", "cancel", ID)
    assert told.exit_code == 0
    assert "is canceled" in told.stdout
    assert f"breakwater prediction show {ID}" in told.stdout
    assert printed("prediction", "cancel", ID)["state"] == "canceled"


def test_what_has_ended_cannot_be_canceled() -> None:
    """The state it ended in is named."""
    admitted()

    async def fail(resources: Resources) -> None:
        prediction = await resources.predictions.load(ID)
        assert prediction is not None
        await resources.submit.transition(prediction, lambda p, now: ended_by_gateway(p, State.FAILED, "no", now))

    do(fail)
    assert "it is failed" in refused("prediction", "cancel", ID)


def test_nothing_stuck_and_nothing_orphaned_is_said() -> None:
    """An empty list is a sentence, and for scripts an empty list."""
    assert invoke("prediction", "stuck").stdout == "Nothing is stuck.\n"
    assert invoke("prediction", "orphaned").stdout == "Nothing is orphaned.\n"
    assert printed("prediction", "stuck") == printed("prediction", "orphaned") == []


def test_what_is_stuck_is_listed_with_its_age() -> None:
    """Who, what, since when; and what to do next."""
    admitted(stuck_after_s=-1.0)
    (stuck,) = printed("prediction", "stuck")
    assert (stuck["id"], stuck["tenant"], stuck["state"]) == (ID, "acme", "created")
    assert stuck["stuck_s"] > 0
    told = invoke("prediction", "stuck").stdout
    assert ID in told
    assert "breakwater prediction cancel ID" in told


def test_what_was_never_closed_is_listed_with_its_upstream_id() -> None:
    """To be compared with the upstream's own bill."""
    admitted()
    printed("prediction", "cancel", ID)

    async def give_up(resources: Resources) -> None:
        prediction = await resources.predictions.load(ID)
        assert prediction is not None
        await resources.submit.transition(prediction, orphaned)

    do(give_up)
    (found,) = printed("prediction", "orphaned")
    assert (found["id"], found["closed"], found["money"], found["upstream_id"]) == (ID, "orphaned", "settled", "up-1")
    assert "up-1" in invoke("prediction", "orphaned").stdout
