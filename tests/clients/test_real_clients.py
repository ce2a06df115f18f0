"""WaveSpeed's own clients, as published and unmodified, do with the gateway what they do with WaveSpeed.

Needs what `.ci/run` installs: tests/clients/.venv and tests/clients/node_modules.
"""

import re
from pathlib import Path
from typing import Final

import httpx2
import pytest

from service.domain.api_keys import mint_api_key
from service.domain.tenant_spec import read_spec
from tests.clients.driving import MODEL, Case
from tests.journeys.system import SECRET_KEY
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUICK: Final = {"poll_interval": 0.1}
FILE: Final = bytes(range(256)) * 2_000


async def _content(url: str) -> bytes:
    """What is behind a URL that needs no key."""
    async with httpx2.AsyncClient(trust_env=False) as stranger:
        answer = await stranger.get(url)
    assert answer.status_code == 200, url
    return answer.content


async def _limit(case: Case, **limits: object) -> None:
    """Set the tenant's limits."""
    async with case.system.resources() as resources:
        await resources.administer.put_tenant(case.tenant, read_spec({"limits": limits}))


async def _end(case: Case, prediction_id: str) -> None:
    """End everything that runs upstream, and wait until the gateway knows of this one."""
    await case.system.upstream.post("/_control/finish", json={"all": True})

    async def completed() -> bool:
        return bool((await case.result(prediction_id))["status"] == "completed")

    await wait_until(completed, what="the prediction ends")


async def test_run(case: Case) -> None:
    """From prompt to video with the client's defaults; it names itself upstream, and our key alone goes there."""
    [url] = (await case.run("a lighthouse")).outputs
    assert (await _content(url))[4:8] == b"ftyp"
    assert await case.charged() == 1
    headers = (await case.task())["headers"]
    assert headers["authorization"] == f"Bearer {SECRET_KEY}"
    assert {name: value for name, value in headers.items() if name.startswith("x-client-")} == case.client.says


async def test_submit_then_wait(case: Case) -> None:
    """The id is the gateway's own, `urls.get` leads to the gateway, and the wait ends with the outputs."""
    outcome = await case.call("submit_and_wait", model=MODEL, input={"prompt": "a pier"}, options=QUICK)
    [url] = outcome.outputs
    prediction_id, first = outcome.returned["id"], outcome.returned["first"]
    assert re.fullmatch(r"[0-9a-f]{32}", prediction_id)
    assert prediction_id != (await case.task())["id"]
    assert (first["id"], first["model"]) == (prediction_id, MODEL)
    assert first["urls"]["get"] == f"{case.system.gateway_url}/api/v3/predictions/{prediction_id}/result"
    assert (await case.result(prediction_id))["outputs"] == [url]
    assert await case.charged() == 1


async def test_a_failed_prediction(case: Case) -> None:
    """The client's own error, with the id and the model's reason; it is not run again."""
    outcome = await case.run("[sim:fail] a wreck", **QUICK)
    assert outcome.error == case.client.failure
    told = re.fullmatch(r"Prediction failed \(task_id: ([0-9a-f]{32})\): model execution failed", outcome.text)
    assert told, outcome.text
    assert (await case.result(told[1]))["status"] == "failed"
    assert await case.charged() == 1


@pytest.mark.parametrize("key", ["sk-made-up", mint_api_key()], ids=["malformed", "unknown"])
async def test_a_wrong_key(case: Case, key: str) -> None:
    """The client's own refusal, with the 401 in it; nothing is sent upstream."""
    outcome = await case.call("run", key=key, model=MODEL, input={"prompt": "a gate"})
    assert outcome.error == case.client.refusal
    assert 'HTTP 401: {"code":401,"message":"' in outcome.text
    assert outcome.printed == ""
    assert await case.charged() == 0


@pytest.mark.parametrize(
    ("limits", "status", "name"),
    [({"daily": 1}, 429, "daily"), ({"budget_usd": "0.50"}, 402, "budget")],
    ids=["count", "money"],
)
async def test_an_exhausted_quota(case: Case, limits: dict[str, object], status: int, name: str) -> None:
    """The first is run; of the second the client shows the status and which limit it was, without trying again."""
    await _limit(case, **limits)
    assert len((await case.run("a first", **QUICK)).outputs) == 1
    outcome = await case.run("a second", **QUICK)
    assert outcome.error == case.client.refusal
    assert f'HTTP {status}: {{"code":{status},"message":"' in outcome.text
    assert name in outcome.text
    assert outcome.printed == ""
    assert await case.charged() == 1


async def test_an_upload(case: Case, tmp_path: Path) -> None:
    """What the client uploads can be read where it is told, byte for byte, and be given to a model."""
    file = tmp_path / "pier.png"
    file.write_bytes(FILE)
    uploaded = await case.call("upload", file=str(file))
    assert (uploaded.error, uploaded.text) == ("", "")
    assert await _content(uploaded.returned) == FILE
    inputs = {"prompt": "a pier, moving", "image": uploaded.returned}
    assert len((await case.call("run", model=MODEL, input=inputs, options=QUICK)).outputs) == 1
    assert (await case.task())["input"] == inputs
    assert await case.charged() == 1


async def test_an_upload_with_a_wrong_key(case: Case, tmp_path: Path) -> None:
    """The client's error has the 401 in it."""
    file = tmp_path / "pier.png"
    file.write_bytes(FILE)
    outcome = await case.call("upload", key=mint_api_key(), file=str(file))
    assert 'HTTP 401: {"code":401,"message":"' in outcome.text


async def test_the_client_s_wait_is_over_first(case: Case) -> None:
    """Its own timeout, with the id; nothing is posted again, and the result is there for who asks later."""
    outcome = await case.run("[sim:stuck] a fog", timeout=2, **QUICK)
    assert outcome.error == case.client.timeout
    told = re.fullmatch(r"Prediction timed out after 2 seconds \(task_id: ([0-9a-f]{32})\)", outcome.text)
    assert told, outcome.text
    assert (await case.call("result", id=told[1])).returned["status"] in ("created", "processing")
    await _end(case, told[1])
    assert len((await case.call("result", id=told[1])).outputs) == 1
    assert await case.charged() == 1


async def test_synchronous_mode(case: Case) -> None:
    """One request from prompt to outputs."""
    [url] = (await case.run("[sim:duration=0.2] a wave", enable_sync_mode=True)).outputs
    assert (await _content(url))[4:8] == b"ftyp"
    assert await case.charged() == 1


async def test_synchronous_mode_is_over_first(case: Case) -> None:
    """The client says that the wait timed out, that the run goes on, and where; the result is there later."""
    outcome = await case.run("[sim:stuck] a calm", enable_sync_mode=True)
    found = re.search(r"task_id: ([0-9a-f]{32})", outcome.text)
    assert found, outcome.text
    assert "Sync mode timed out" in outcome.text
    assert outcome.text.count(f"{case.system.gateway_url}/api/v3/predictions/{found[1]}/result") == 1
    assert 3 <= outcome.seconds < 10
    await _end(case, found[1])
    assert await case.charged() == 1


@pytest.mark.parametrize("trouble", ["500x3", "429x3", "cutx2", "htmlx2", "404x2"])
async def test_no_trouble_of_wavespeed_s_is_seen_while_waiting(case: Case, trouble: str) -> None:
    """Of errors on the worker's looks the client learns nothing: not one retry of its own."""
    assert len((await case.run(f"[sim:poll={trouble}] a swell", **QUICK)).outputs) == 1
    assert await case.charged() == 1


async def test_a_hanging_submission_is_answered_before_the_client_gives_up(case: Case) -> None:
    """Eight seconds are all it gives a submission that WaveSpeed answers after nine; it has its video all the same."""
    assert len((await case.run("[sim:delay=9] a strait", timeout=8, **QUICK)).outputs) == 1
    assert await case.charged() == 1
