"""Submissions whose answer never came: found again, or given up, and never sent twice or handed to the wrong team."""

import httpx2
import pytest

from service.domain.predictions import State
from service.upstream import task_list
from tests.integration.life.life import PRICE_MICROS, Life
from tests.integration.simulator.running import KEY


async def lost(life: Life, tenant_key: str = "") -> str:
    """Submit "a wave": accepted and paid, and the answer is lost."""
    life.simulator.arm("submit", "lost")
    return await life.submit("a wave", tenant_key)


async def refused_oddly(life: Life, tenant_key: str = "") -> str:
    """Submit "a wave": not accepted, and the answer does not say so."""
    life.simulator.arm("submit", "status", status=503)
    return await life.submit("a wave", tenant_key)


async def foreign_task(life: Life, prompt: str) -> None:
    """Somebody uses the account without the gateway."""
    async with life.simulator.client(KEY) as client:
        answer = await client.post("/api/v3/openai/sora-2", json={"prompt": prompt})
        assert answer.status_code == 200


def tasks(life: Life) -> list[str]:
    """The account's tasks, oldest first."""
    return [task["id"] for task in sorted(life.simulator.seen()["submissions"], key=lambda task: task["created_at"])]


@pytest.mark.parametrize("answer", ["lost", "cut", "malformed"])
async def test_a_task_whose_answer_was_lost_is_found_in_the_list(life: Life, answer: str) -> None:
    """Read as `created` meanwhile, it is found once it can be nobody else's, ends as its task does, is paid once."""
    prediction_id = await life.submit(f"[sim:submit={answer}] a wave")
    assert (await life.load(prediction_id)).state is State.UNCONFIRMED
    assert (await life.gateway.result(prediction_id))["status"] == "created"
    assert "found" in await life.until_searchable()
    found = await life.load(prediction_id)
    assert (found.evidence, found.started_at_ms) == ("list", found.created_at_ms)
    await life.pass_time(60)
    assert (await life.gateway.result(prediction_id))["status"] == "completed"
    assert life.paid() == 1
    ledger = await life.ledger()
    assert (ledger.held, ledger.settled) == (0, PRICE_MICROS)


async def test_nothing_is_looked_for_while_a_submission_may_be_under_way(life: Life) -> None:
    """For the longest time a POST can take, the list is not even read: a twin's task could be taken for it."""
    await lost(life)
    assert set(await life.pass_time(69)) <= {"unconfirmed"}
    assert life.simulator.seen()["requests"].get("list", 0) == 0


async def test_one_that_never_arrived_is_given_up(life: Life) -> None:
    """After half an hour it fails with a clear reason, its money and its slot are given back, and it is counted."""
    await life.register()
    prediction_id = await refused_oddly(life)
    assert "given_up" not in await life.pass_time(1_795)
    assert "given_up" in await life.pass_time(60)
    result = await life.gateway.result(prediction_id)
    assert (result["status"], life.paid()) == ("failed", 0)
    assert "never confirmed" in result["error"]
    ledger = await life.ledger()
    assert (ledger.held, ledger.released) == (0, PRICE_MICROS)
    assert await life.owed() == {"prediction.failed"}
    assert life.sample("breakwater_looks_total", result="given_up") == 1
    assert await life.pass_time(600) == []


async def test_prompt_twins_of_two_teams_are_never_mixed_up(life: Life) -> None:
    """One of two teams' equal submissions arrived: nobody can tell whose, so it is nobody's, and that is counted."""
    other = await life.gateway.key_of("beta")
    mine, theirs = await lost(life), await refused_oddly(life, other)
    await life.until_searchable()
    for prediction_id in (mine, theirs):
        assert not (await life.load(prediction_id)).upstream_id
    assert life.sample("breakwater_unconfirmed_searches_total", result="ambiguous") >= 2
    await life.pass_time(1_800)
    for prediction_id in (mine, theirs):
        assert (await life.load(prediction_id)).state is State.FAILED


async def test_a_twin_that_is_under_way_counts(life: Life) -> None:
    """A submission of another team that died with its gateway may be the one that arrived."""
    other = await life.gateway.key_of("beta")
    assert other
    mine = await lost(life)
    twin = (await life.load(mine))._replace(id="f" * 32, tenant="beta", state=State.SUBMITTING, rev=0)
    await life.resources.ledger.admit(twin, 70.0, 3_600.0)
    await life.until_searchable()
    assert not (await life.load(mine)).upstream_id


async def test_twins_of_one_team_get_as_many_tasks_oldest_first(life: Life) -> None:
    """To one team equal videos are worth the same: each gets one, none gets two."""
    ids = []
    for _ in range(3):
        ids.append(await lost(life))
        life.clock.now_s += 1
    await life.until_searchable()
    assert [(await life.load(prediction_id)).upstream_id for prediction_id in ids] == tasks(life)


async def test_twins_of_one_team_with_too_few_tasks_get_none(life: Life) -> None:
    """Two submissions, one task: which of the two is answered by it nobody knows."""
    ids = [await lost(life), await refused_oddly(life)]
    await life.until_searchable()
    assert [(await life.load(prediction_id)).upstream_id for prediction_id in ids] == ["", ""]


async def test_a_foreign_task_of_equal_inputs_makes_it_ambiguous(life: Life) -> None:
    """Somebody used the account by itself with the same prompt: two tasks, one claimant, no claim."""
    prediction_id = await lost(life)
    await foreign_task(life, "a wave")
    await life.until_searchable()
    assert not (await life.load(prediction_id)).upstream_id


@pytest.mark.parametrize("prompt", ["another wave", "A wave", "a wave "])
async def test_foreign_tasks_of_other_inputs_are_not_its_own(life: Life, prompt: str) -> None:
    """What was not asked for is not taken, however alike."""
    prediction_id = await refused_oddly(life)
    await foreign_task(life, prompt)
    await life.until_searchable()
    assert not (await life.load(prediction_id)).upstream_id


async def test_a_task_of_another_time_is_not_its_own(life: Life) -> None:
    """An equal task made before the submission, or long after it, is somebody else's."""
    await foreign_task(life, "a wave")
    life.clock.now_s += 30
    prediction_id = await refused_oddly(life)
    life.clock.now_s += 120
    await foreign_task(life, "a wave")
    await life.until_searchable()
    assert not (await life.load(prediction_id)).upstream_id


async def test_a_task_that_is_another_prediction_s_is_not_taken(life: Life) -> None:
    """A confirmed twin keeps its task; the unconfirmed one finds its own, or nothing."""
    confirmed = await life.submit("a wave")
    unconfirmed = await lost(life)
    await life.until_searchable()
    first, second = await life.load(confirmed), await life.load(unconfirmed)
    assert (first.evidence, second.evidence) == ("answer", "list")
    assert {first.upstream_id, second.upstream_id} == set(tasks(life))


async def test_an_upstream_that_cannot_list_is_no_verdict(life: Life) -> None:
    """While the list fails, the submission is looked for again and again, until it is found."""
    life.simulator.arm("list", "status", status=500, times=3)
    prediction_id = await lost(life)
    await life.until_searchable()
    assert not (await life.load(prediction_id)).upstream_id
    assert life.sample("breakwater_unconfirmed_searches_total", result="failed") >= 1
    await life.pass_time(180)
    assert (await life.load(prediction_id)).evidence == "list"


async def test_a_list_of_many_pages_is_read_to_its_end(life: Life) -> None:
    """A task behind a hundred others is found."""
    prediction_id = await lost(life)
    async with life.simulator.client(KEY) as client:
        for number in range(130):
            await client.post("/api/v3/openai/sora-2", json={"prompt": f"another wave {number}"})
    await life.until_searchable()
    assert (await life.load(prediction_id)).evidence == "list"


async def test_an_account_with_too_many_tasks_cannot_be_searched(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not read might hold a second fitting task: ambiguous."""
    monkeypatch.setattr(task_list, "MAX_PAGES", 1)
    prediction_id = await lost(life)
    async with life.simulator.client(KEY) as client:
        for number in range(100):
            await client.post("/api/v3/openai/sora-2", json={"prompt": f"another wave {number}"})
    await life.until_searchable()
    assert not (await life.load(prediction_id)).upstream_id
    assert life.sample("breakwater_unconfirmed_searches_total", result="ambiguous") >= 1


async def test_a_gateway_that_died_while_submitting_sends_nothing_again(life: Life) -> None:
    """Its admission becomes `unconfirmed`, and the task is found if it had been sent."""
    prediction_id = await lost(life)
    before = await life.load(prediction_id)
    await life.resources.commands("HSET", f"bw:prediction:{prediction_id}", "state", "submitting")
    await life.until_searchable()
    after = await life.load(prediction_id)
    assert (after.state, after.evidence, life.paid()) == (State.COMPLETED, "list", 1)
    assert after.rev == before.rev + 3, "it became unconfirmed, created, completed"


async def test_what_listed_tasks_say_is_not_trusted_blindly(life: Life) -> None:
    """A list that cannot be read, entry by entry, is no list: nothing is claimed from it."""
    prediction_id = await lost(life)
    life.simulator.arm("list", "malformed", times=100)
    await life.until_searchable()
    assert not (await life.load(prediction_id)).upstream_id


async def test_the_result_of_a_found_one_is_its_own_tenant_s_alone(life: Life) -> None:
    """Finding a task does not make it readable to others."""
    other = await life.gateway.key_of("beta")
    prediction_id = await lost(life)
    await life.until_searchable()
    answer: httpx2.Response = await life.gateway.client.get(
        f"/api/v3/predictions/{prediction_id}/result", headers={"authorization": f"Bearer {other}"}
    )
    assert answer.status_code == 404
