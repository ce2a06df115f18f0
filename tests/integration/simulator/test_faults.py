"""Every fault on demand: armed through the control routes, or asked for in a prompt."""

import asyncio
from typing import Any

import httpx2
import pytest

from simulator.state import Options
from tests.integration.simulator.running import MODEL, VIDEO_S, Running, running_simulator
from tests.integration.simulator.test_routes import result, submit

BROKEN = (httpx2.RemoteProtocolError, httpx2.ReadError)


async def post(client: httpx2.AsyncClient, prompt: str) -> httpx2.Response:
    """Submit, whatever comes."""
    return await client.post(f"/api/v3/{MODEL}", json={"prompt": prompt})


def paid(simulator: Running) -> int:
    """How many submissions were accepted and paid."""
    number: int = simulator.seen()["paid_submissions"]
    return number


@pytest.fixture(params=["prompt", "armed"])
def asked(request: pytest.FixtureRequest, simulator: Running) -> Any:
    """A function that asks for a fault of the submission in one of the two ways, and gives the prompt to send."""

    def ask(fault: str) -> str:
        if request.param == "prompt":
            return f"[sim:submit={fault}] a wave"
        armed = {"fault": "status", "status": int(fault)} if fault.isdigit() else {"fault": fault}
        simulator.arm("submit", **armed)
        return "a wave"

    return ask


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 429, 500, 503, 504])
async def test_a_status_refuses_before_anything_is_paid(
    client: httpx2.AsyncClient, simulator: Running, asked: Any, status: int
) -> None:
    """The status comes in WaveSpeed's envelope; 429 and 503 say when to come again."""
    answer = await post(client, asked(str(status)))
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    if status == 429:
        assert answer.json()["message"] == "You have reached your concurrency limit"
    assert paid(simulator) == 0


async def test_html_refuses_before_anything_is_paid(client: httpx2.AsyncClient, simulator: Running, asked: Any) -> None:
    """A proxy's error page instead of an envelope."""
    answer = await post(client, asked("html"))
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert paid(simulator) == 0


async def test_a_hang_is_held_until_the_client_goes(client: httpx2.AsyncClient, simulator: Running, asked: Any) -> None:
    """No answer comes, and nothing is paid."""
    client.timeout = httpx2.Timeout(0.2)
    with pytest.raises(httpx2.ReadTimeout):
        await post(client, asked("hang"))
    assert paid(simulator) == 0


async def test_a_dropped_connection_before_anything_is_paid(
    client: httpx2.AsyncClient, simulator: Running, asked: Any
) -> None:
    """The connection is reset."""
    with pytest.raises(BROKEN):
        await post(client, asked("drop"))
    assert paid(simulator) == 0


async def test_a_lost_answer_is_paid(client: httpx2.AsyncClient, simulator: Running, asked: Any) -> None:
    """The connection is reset as with a drop, but the run is there."""
    with pytest.raises(BROKEN):
        await post(client, asked("lost"))
    assert paid(simulator) == 1
    [task] = (await client.post("/api/v3/predictions", json={})).json()["data"]["items"]
    assert (await result(client, task["id"]))["status"] == "created"


async def test_a_cut_answer_is_paid(client: httpx2.AsyncClient, simulator: Running, asked: Any) -> None:
    """A whole body is announced and half of it comes."""
    with pytest.raises(BROKEN):
        await post(client, asked("cut"))
    assert paid(simulator) == 1


async def test_a_malformed_answer_is_paid(client: httpx2.AsyncClient, simulator: Running, asked: Any) -> None:
    """A 200 whose body is no JSON."""
    answer = await post(client, asked("malformed"))
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting"):
        answer.json()
    assert paid(simulator) == 1


@pytest.mark.parametrize("armed", [True, False])
async def test_a_delayed_answer_is_a_good_one(client: httpx2.AsyncClient, simulator: Running, armed: bool) -> None:
    """The run is accepted at once, the answer comes later."""
    if armed:
        simulator.arm("submit", "delay", seconds=0.1)
    started = asyncio.get_running_loop().time()
    data = await submit(client, "a wave" if armed else "[sim:delay=0.1] a wave")
    assert asyncio.get_running_loop().time() - started >= 0.1
    assert data["status"] == "created"
    assert paid(simulator) == 1


@pytest.mark.parametrize("fault", ["500", "429", "404", "html", "malformed", "cut", "drop", "hang"])
async def test_looks_go_wrong_as_often_as_the_prompt_asks(
    client: httpx2.AsyncClient, simulator: Running, fault: str
) -> None:
    """Two broken looks, then a good one; another run is not concerned."""
    client.timeout = httpx2.Timeout(0.2 if fault == "hang" else 5.0)
    data = await submit(client, f"[sim:poll={fault}x2] a wave")
    other = await submit(client)
    for _ in range(2):
        try:
            answer = await client.get(data["urls"]["get"])
            assert answer.status_code == int(fault if fault.isdigit() else 502 if fault == "html" else 200)
            assert fault == "malformed" or answer.status_code >= 400
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ReadTimeout):
            assert fault in ("cut", "drop", "hang")
        assert (await result(client, other["id"]))["status"] == "created"
    assert (await result(client, data["id"]))["status"] == "created"


async def test_several_kinds_of_broken_looks_follow_each_other(client: httpx2.AsyncClient) -> None:
    """In the order the prompt names them."""
    data = await submit(client, "[sim:poll=500] [sim:poll=429x2] [sim:poll=404] a wave")
    statuses = [(await client.get(data["urls"]["get"])).status_code for _ in range(5)]
    assert statuses == [500, 429, 429, 404, 200]


@pytest.mark.parametrize(
    ("operation", "method", "path", "body"),
    [
        ("list", "POST", "/api/v3/predictions", {}),
        ("balance", "GET", "/api/v3/balance", None),
        ("upload", "POST", "/api/v3/media/uploads", {"filename": "a.png", "size": 1}),
        ("any", "GET", "/api/v3/balance", None),
    ],
)
async def test_other_operations_can_be_armed(
    client: httpx2.AsyncClient, simulator: Running, operation: str, method: str, path: str, body: Any
) -> None:
    """The next calls of the operation fail, as many as were armed; then it is healthy."""
    simulator.arm(operation, "status", status=503, times=2, retry_after=3)
    answers = [await client.request(method, path, json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "3"


async def test_a_reload_of_faults_can_be_taken_back(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Disarming leaves nothing armed."""
    simulator.arm("any", "status", times=100)
    simulator.control("DELETE", "faults")
    assert (await client.get("/api/v3/balance")).status_code == 200


async def statuses_of(client: httpx2.AsyncClient, simulator: Running, prompt: str) -> tuple[list[str], dict[str, Any]]:
    """The statuses of a run from start to well past its end, and its last answer."""
    data = await submit(client, f"{prompt} [sim:duration={VIDEO_S}]")
    statuses = []
    for _ in range(12):
        data = await result(client, data["id"])
        statuses.append(data["status"])
        simulator.clock.now_s += VIDEO_S / 10
    return statuses, data


async def test_a_run_can_go_backwards(client: httpx2.AsyncClient, simulator: Running) -> None:
    """It is `created` again after it was `processing`, and completes all the same."""
    statuses, _ = await statuses_of(client, simulator, "[sim:backwards]")
    assert list(dict.fromkeys(statuses)) == ["created", "processing", "completed"]
    assert "created" in statuses[statuses.index("processing") :]


async def test_a_status_nobody_knows(client: httpx2.AsyncClient, simulator: Running) -> None:
    """It completes after a word that no page documents."""
    statuses, _ = await statuses_of(client, simulator, "[sim:unknown-status]")
    assert list(dict.fromkeys(statuses)) == ["created", "processing", "queued_by_magic", "completed"]


async def test_completed_without_outputs(client: httpx2.AsyncClient, simulator: Running) -> None:
    """A run can be completed and have nothing to show."""
    statuses, data = await statuses_of(client, simulator, "[sim:empty-outputs]")
    assert (statuses[-1], data["outputs"]) == ("completed", [])


async def test_a_stuck_run_never_ends(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Days later it is still processing, unless it is ended by hand."""
    _, data = await statuses_of(client, simulator, "[sim:stuck]")
    simulator.clock.now_s += 7 * 86_400
    assert (await result(client, data["id"]))["status"] == "processing"
    simulator.control("POST", "finish", id=data["id"], status="failed")
    assert (await result(client, data["id"]))["status"] == "failed"


@pytest.mark.parametrize(
    ("directive", "code", "nsfw", "text"),
    [
        ("fail", 1403, [False], "model execution failed"),
        ("nsfw", 1200, [True], "content flagged as potentially sensitive"),
    ],
)
async def test_failures_are_a_healthy_answer_with_a_task_code(
    client: httpx2.AsyncClient, simulator: Running, directive: str, code: int, nsfw: list[bool], text: str
) -> None:
    """HTTP 200, status `failed`, the reason in words and as a code, and no outputs."""
    statuses, data = await statuses_of(client, simulator, f"[sim:{directive}]")
    assert statuses[-1] == "failed"
    assert (data["code"], data["has_nsfw_contents"], data["error"], data["outputs"]) == (code, nsfw, text, [])


@pytest.mark.parametrize(
    "directive",
    [
        *("explode", "fail=yes", "submit", "submit=maybe", "submit=200", "submit=delay"),
        *("poll=500x", "poll=x3", "duration=nan", "delay=-1"),
        *("submit=\u00b2", "poll=", "Fail", "fail ", "poll=500 x3"),
    ],
)
async def test_an_unknown_directive_is_a_400(client: httpx2.AsyncClient, simulator: Running, directive: str) -> None:
    """A misspelt directive is never taken for a healthy prompt."""
    answer = await post(client, f"[sim:{directive}] a wave")
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert paid(simulator) == 0


async def test_square_brackets_of_other_kinds_are_prompt(client: httpx2.AsyncClient) -> None:
    """Only `[sim:...]` is read."""
    await submit(client, "a wave [wide] [simulation: no] [x:fail]")


async def test_too_many_runs_at_once_for_the_tier(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Bronze takes two at once; a third is 429 with Retry-After, unpaid, until one ends and the minute is over."""
    simulator.control("PUT", "tier", tier="bronze")
    await submit(client, "[sim:duration=90]")
    second = await submit(client, "[sim:duration=90]")
    simulator.clock.now_s += 61
    third = await post(client, "third")
    assert (third.status_code, third.json()["message"]) == (429, "You have reached your concurrency limit")
    assert third.headers["retry-after"] == "5"
    seen = simulator.seen()
    assert (seen["tier"], seen["paid_submissions"], seen["running"], seen["refused"]) == ("bronze", 2, 2, {"429": 1})
    simulator.control("POST", "finish", id=second["id"])
    await submit(client, "third")


async def test_too_many_runs_a_minute_for_the_tier(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Bronze takes two a minute, however quick they are."""
    simulator.control("PUT", "tier", tier="bronze")
    for _ in range(2):
        await submit(client, "[sim:duration=0]")
    assert (await post(client, "third")).status_code == 429
    simulator.clock.now_s += 59
    assert (await post(client, "third")).status_code == 429
    simulator.clock.now_s += 1
    await submit(client, "third")


async def test_an_account_can_have_limits_of_its_own() -> None:
    """In place of its tier's: so many a minute, so many at once."""
    with running_simulator(Options(per_minute=2, concurrent=1)) as simulator:
        async with simulator.client() as client:
            first = await submit(client, "[sim:duration=90]")
            assert (await post(client, "one too many at once")).status_code == 429
            simulator.control("POST", "finish", id=first["id"])
            await submit(client, "[sim:duration=0]")
            assert (await post(client, "one too many a minute")).status_code == 429
            simulator.clock.now_s += 60
            await submit(client, "a minute later")


async def test_a_synchronous_submission_is_answered_when_it_is_done(client: httpx2.AsyncClient) -> None:
    """With `enable_sync_mode` the answer is the result itself."""
    data = await submit(client, "[sim:duration=0] a wave", enable_sync_mode=True)
    assert data["status"] == "completed"
    assert len(data["outputs"]) == 1


async def test_a_synchronous_wait_can_end_before_the_run(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the answer is a success that says to read the result later."""
    monkeypatch.setattr("simulator.predictions.SYNC_WAIT_S", 0.01)
    data = await submit(client, "[sim:stuck]", enable_sync_mode=True)
    assert (data["status"], data["code"]) == ("processing", 5004)


async def test_a_late_status_refuses_after_a_while(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Nothing is accepted or paid, and the answer takes its time."""
    simulator.arm("submit", "late_status", status=422, seconds=0.05)
    assert (await post(client, "a wave")).status_code == 422
    assert paid(simulator) == 0


async def test_the_next_run_s_id_is_known_beforehand(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Drills can prepare for it."""
    expected = simulator.seen()["next_id"]
    assert (await post(client, "a wave")).json()["data"]["id"] == expected
