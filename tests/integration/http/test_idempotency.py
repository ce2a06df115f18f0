"""`Idempotency-Key` on both faces: one prediction for any number of copies, and one answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import pytest
from redis.asyncio import Redis

from service.domain.answers import initial_answer
from service.domain.json_forms import json_bytes
from service.domain.predictions import Prediction, State
from service.stores.quota_ledger import LIVE_MS
from service.usecases.submit import Submission
from tests.integration.http.gateway import posts_seen
from tests.integration.http.timed import FACES, Face, Timed, contents, id_of, open_timed, success, told
from tests.integration.simulator.running import MODEL, Running
from tests.waiting import wait_until

KEY: Final = "8e03978e-40d5-43dd-bc93-6894a57f9324"
BODY: Final = {"prompt": "a wave"}

on_both_faces = pytest.mark.parametrize("face", FACES)


@pytest.fixture
async def timed(redis_url: str, simulator: Running) -> AsyncIterator[Timed]:
    """A gateway on a clock that stands still."""
    async with open_timed(redis_url, simulator) as timed:
        yield timed


def assert_replay(face: Face, replayed: httpx2.Response, first: httpx2.Response) -> None:
    """The second answer is the first one again, and says so."""
    assert replayed.status_code == success(face), replayed.text
    assert replayed.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert replayed.json() == first.json()
    assert replayed.headers.get("location") == first.headers.get("location")


@on_both_faces
async def test_a_copy_gets_the_same_answer(timed: Timed, simulator: Running, face: Face) -> None:
    """It says that it is a replay, starts nothing, and is charged nothing even where nothing is left."""
    await timed.gateway.limit(rate_per_minute=1, concurrency=1, daily=1, monthly=1, budget_usd="0.40")
    first = await timed.accepted(face, idempotency_key=KEY)
    for _ in range(3):
        assert_replay(face, await timed.post(face, idempotency_key=KEY), first)
    assert posts_seen(simulator) == 1
    told(face, await timed.post(face), 402)


@on_both_faces
async def test_100_simultaneous_copies_make_one_submission(timed: Timed, simulator: Running, face: Face) -> None:
    """Each is answered with the one success or told to try again in a moment; afterwards all get that success."""
    await timed.gateway.client.get("/v1/quota")  # the key is known from here on
    prompt = "[sim:delay=0.2] a wave"
    answers = await asyncio.gather(*(timed.post(face, prompt, idempotency_key=KEY) for _ in range(100)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {success(face), 409}
    assert statuses[success(face)] >= 1
    bodies = {answer.content for answer in answers if answer.status_code == success(face)}
    assert len(bodies) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert "Idempotency-Key" in told(face, answer, 409)
            assert answer.headers["retry-after"] == "1"
    again = await asyncio.gather(*(timed.post(face, prompt, idempotency_key=KEY) for _ in range(100)))
    assert {answer.content for answer in again} == bodies
    assert (posts_seen(simulator), simulator.seen()["paid_submissions"]) == (1, 1)
    ledger = await timed.gateway.resources.ledger.ledger("acme", "2027-01")
    assert (ledger.admitted, ledger.held, ledger.ever_held) == (1, 400_000, 400_000)


@on_both_faces
async def test_the_answer_stays_whatever_becomes_of_the_prediction(timed: Timed, face: Face) -> None:
    """A replay after the end is the first answer still, to the byte."""
    first = await timed.accepted(face, idempotency_key=KEY)
    timed.clock.advance(60)
    await timed.end(id_of(face, first))
    replayed = await timed.post(face, idempotency_key=KEY)
    assert_replay(face, replayed, first)
    assert replayed.content == first.content


@on_both_faces
async def test_an_early_answer_is_replayed_as_it_was(redis_url: str, simulator: Running, face: Face) -> None:
    """Also when the upstream has confirmed in the meantime."""
    async with open_timed(redis_url, simulator, answer_within_s=0) as timed:
        first = await timed.accepted(face, "[sim:delay=0.1] a wave", idempotency_key=KEY)
        await asyncio.gather(*timed.gateway.resources.submit.running)
        stored = await timed.gateway.resources.predictions.load(id_of(face, first))
        assert stored is not None
        assert stored.state is State.CREATED
        replayed = await timed.post(face, "[sim:delay=0.1] a wave", idempotency_key=KEY)
        assert_replay(face, replayed, first)


async def test_an_early_answer_with_a_large_input_is_replayed_as_it_was(redis_url: str, simulator: Running) -> None:
    """The native answer repeats the input; the record lets go of a large one, and the replay has it all the same."""
    async with open_timed(redis_url, simulator, answer_within_s=0) as timed:
        large = "a wave " * 2_000
        first = await timed.accepted("native", large, idempotency_key=KEY)
        assert first.json()["input"] == {"prompt": large}
        await asyncio.gather(*timed.gateway.resources.submit.running)
        replayed = await timed.post("native", large, idempotency_key=KEY)
        assert replayed.json()["input"] == {"prompt": large}


@on_both_faces
async def test_an_unconfirmed_submission_is_replayed(timed: Timed, simulator: Running, face: Face) -> None:
    """It may run and be paid: a copy never sends it again."""
    first = await timed.accepted(face, "[sim:submit=lost]", idempotency_key=KEY)
    assert_replay(face, await timed.post(face, "[sim:submit=lost]", idempotency_key=KEY), first)
    assert posts_seen(simulator) == 1


@on_both_faces
async def test_the_same_key_with_another_request_is_a_422(
    timed: Timed, redis: Redis, simulator: Running, face: Face
) -> None:
    """Other inputs, a field more, another callback: nothing is started, charged or written."""
    await timed.accepted(face, idempotency_key=KEY)
    before = await contents(redis)
    others: list[dict[str, Any]] = [{"prompt": "another"}, {"prompt": "a wave", "seed": 1}]
    answers = [await timed.post(face, idempotency_key=KEY, **inputs) for inputs in others]
    headers = {"idempotency-key": KEY}
    if face == "wavespeed":
        with_callback = await timed.gateway.client.post(
            f"/api/v3/{MODEL}?webhook=http://127.0.0.1:9/", json=BODY, headers=headers
        )
    else:
        body = {"model": MODEL, "input": BODY, "webhook": "http://127.0.0.1:9/"}
        with_callback = await timed.gateway.client.post("/v1/predictions", json=body, headers=headers)
    for answer in (*answers, with_callback):
        assert "Idempotency-Key" in told(face, answer, 422)
    if face == "native":
        assert answers[0].json()["code"] == "idempotency_mismatch"
    assert await contents(redis) == before
    assert posts_seen(simulator) == 1


async def test_what_means_the_same_is_the_same(timed: Timed, simulator: Running) -> None:
    """The order of fields, the form of the key and switches that are not inputs make no other request."""
    first = await timed.accepted("wavespeed", idempotency_key=KEY, seed=1)
    reordered = await timed.gateway.client.post(
        f"/api/v3/{MODEL}",
        content=b'{"seed": 1, "enable_sync_mode": false,   "prompt": "a wave"}',
        headers={"idempotency-key": f'"{KEY}"'},
    )
    assert_replay("wavespeed", reordered, first)
    assert posts_seen(simulator) == 1


@on_both_faces
@pytest.mark.parametrize(("prompt", "status"), [("[sim:submit=400]", 400), ("[sim:submit=422]", 422)])
async def test_a_refusal_by_the_upstream_frees_the_key(
    timed: Timed, simulator: Running, face: Face, prompt: str, status: int
) -> None:
    """The same request may be tried again, and so may another under that key."""
    for _ in range(2):
        told(face, await timed.post(face, prompt, idempotency_key=KEY), status)
    first = await timed.accepted(face, idempotency_key=KEY)
    assert "idempotent-replayed" not in first.headers
    assert_replay(face, await timed.post(face, idempotency_key=KEY), first)
    assert posts_seen(simulator) == 3


@on_both_faces
async def test_a_refusal_by_a_limit_leaves_the_key_free(timed: Timed, face: Face) -> None:
    """The copy that comes when there is room again is accepted."""
    await timed.gateway.limit(daily=0)
    told(face, await timed.post(face, idempotency_key=KEY), 429)
    await timed.gateway.limit()
    assert "idempotent-replayed" not in (await timed.accepted(face, idempotency_key=KEY)).headers


async def test_a_key_holds_for_one_tenant_on_one_face(timed: Timed, simulator: Running) -> None:
    """The same key and inputs elsewhere are another submission."""
    other = await timed.gateway.key_of("other")
    answers = [
        (face, await timed.accepted(face, key=key, idempotency_key=KEY)) for face in FACES for key in ("", other)
    ]
    assert len({id_of(face, answer) for face, answer in answers}) == 4
    assert all("idempotent-replayed" not in answer.headers for _, answer in answers)
    assert posts_seen(simulator) == 4


async def test_keys_differ_in_every_character(timed: Timed, simulator: Running) -> None:
    """Case counts, length counts."""
    for key in ("k", "K", "k" * 255, '"a b"'):
        assert "idempotent-replayed" not in (await timed.accepted(idempotency_key=key)).headers
    assert posts_seen(simulator) == 4


@on_both_faces
@pytest.mark.parametrize("key", ['""', "k" * 256, "a b", '"a"b"', "caf\xe9"])
async def test_a_key_that_is_none_is_refused(timed: Timed, simulator: Running, face: Face, key: str) -> None:
    """400 that names the header, with nothing sent: silently without its protection would be worse."""
    body = BODY if face == "wavespeed" else {"model": MODEL, "input": BODY}
    path = f"/api/v3/{MODEL}" if face == "wavespeed" else "/v1/predictions"
    headers = {b"authorization": f"Bearer {timed.gateway.key}".encode(), b"idempotency-key": key.encode("latin-1")}
    answer = await timed.gateway.client.post(path, json=body, headers=headers)
    assert "Idempotency-Key: " in told(face, answer, 400)
    assert posts_seen(simulator) == 0


async def crashed(timed: Timed, face: Face) -> Prediction:
    """Admit a submission as a gateway does that then dies before it sends or answers anything."""
    prediction_id = "0" * 31 + "1"
    intent = Prediction(
        id=prediction_id,
        tenant="acme",
        model=MODEL,
        state=State.SUBMITTING,
        created_at_ms=timed.clock.ms(),
        input=json_bytes(BODY),
        price_micros=400_000,
        money="held",
        answer=initial_answer(prediction_id, MODEL, timed.clock.ms()),
    )
    copy = Submission(MODEL, BODY, idempotency_key=KEY, route=face).idempotency("acme")
    return (await timed.gateway.resources.ledger.admit(intent, 70.0, 3600.0, copy)).prediction


@on_both_faces
async def test_after_a_crash_the_prediction_is_answered(timed: Timed, simulator: Running, face: Face) -> None:
    """409 as long as the first copy may be being answered, then its prediction; it is never sent a second time."""
    intent = await crashed(timed, face)
    timed.clock.advance(LIVE_MS / 1000 - 0.001)
    assert "being answered" in told(face, await timed.post(face, idempotency_key=KEY), 409)
    timed.clock.advance(0.001)
    replayed = await timed.post(face, idempotency_key=KEY)
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (success(face), "true")
    assert id_of(face, replayed) == intent.id
    assert (await timed.gateway.result(intent.id))["status"] == "created"
    assert posts_seen(simulator) == 0


@on_both_faces
async def test_a_key_is_forgotten_after_a_day(timed: Timed, redis: Redis, simulator: Running, face: Face) -> None:
    """Its record has a lifetime of 24 hours; once that is gone the key is as good as new."""
    first = await timed.accepted(face, idempotency_key=KEY)
    [record] = [key async for key in redis.scan_iter("bw:idempotency:*")]
    assert 86_390_000 < await redis.pttl(record) <= 86_400_000
    assert KEY.encode() not in record
    await redis.delete(record)
    assert id_of(face, await timed.accepted(face, idempotency_key=KEY)) != id_of(face, first)
    assert posts_seen(simulator) == 2


@on_both_faces
async def test_a_copy_is_told_to_wait_for_the_first(timed: Timed, simulator: Running, face: Face) -> None:
    """While the upstream has not answered, a copy gets 409 at once and not the first one's answer in advance."""
    prompt = "[sim:delay=0.3] a wave"
    first = asyncio.create_task(timed.post(face, prompt, idempotency_key=KEY))
    await wait_until(lambda: timed.gateway.resources.submit.running, what="the first copy is sent")
    told(face, await timed.post(face, prompt, idempotency_key=KEY), 409)
    assert not first.done()
    answer = await first
    assert_replay(face, await timed.post(face, prompt, idempotency_key=KEY), answer)
    assert posts_seen(simulator) == 1
