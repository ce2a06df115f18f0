"""Deleting a prediction: hidden from its tenant for good, nothing more sent about it, and still paid for rightly."""

from typing import Any

import pytest

from tests.integration.life.life import PRICE_MICROS, Life
from tests.owed import owed_deliveries

READS = (
    "/v1/predictions/{}",
    "/v1/predictions/{}/events",
    "/v1/predictions/{}/content/0",
    "/api/v3/predictions/{}",
    "/api/v3/predictions/{}/result",
    "/api/v2/predictions/{}/result",
)


async def delete(life: Life, prediction_id: str, face: str = "native") -> int:
    """Delete on a face; the status."""
    if face == "native":
        return (await life.gateway.client.delete(f"/v1/predictions/{prediction_id}")).status_code
    answer = await life.gateway.client.delete(f"/api/v3/predictions/{prediction_id}")
    if answer.status_code == 200:
        assert answer.json()["data"] == {"id": prediction_id, "status": "deleted"}
    return answer.status_code


async def completed(life: Life) -> str:
    """A prediction that has completed."""
    prediction_id = await life.submit()
    life.finish(all=True)
    await life.pass_time(120)
    return prediction_id


@pytest.mark.parametrize("face", ["native", "wavespeed"])
async def test_what_is_deleted_is_nowhere(life: Life, face: str) -> None:
    """Neither read, listed, canceled nor deleted again, on either face; its input and outputs are wiped."""
    prediction_id = await completed(life)
    assert await delete(life, prediction_id, face) == (204 if face == "native" else 200)
    client = life.gateway.client
    for path in READS:
        assert (await client.get(path.format(prediction_id))).status_code == 404
    assert (await client.post(f"/v1/predictions/{prediction_id}/cancel")).status_code == 404
    assert await delete(life, prediction_id, face) == 404
    assert (await client.get("/v1/predictions")).json()["data"] == []
    listed = (await client.post("/api/v3/predictions", json={})).json()["data"]
    assert (listed["items"], listed["total"]) == ([], 0)
    record = await life.load(prediction_id)
    assert (record.input, record.answer.get("outputs"), record.metadata) == (b"", [], {})
    assert (await life.ledger()).settled == PRICE_MICROS


@pytest.mark.parametrize("running", [False, True])
async def test_what_is_deleted_stays_in_the_books(life: Life, running: bool) -> None:
    """Its money and its count are what they were, however often the books are checked, and its slot is free."""
    prediction_id = await life.submit() if running else await completed(life)
    before = await life.ledger()
    assert await delete(life, prediction_id) == 204
    assert await life.resources.reconcile() == 0
    assert await life.ledger() == before
    life.finish(all=True)
    await life.pass_time(3_600, step_s=60)
    assert await life.resources.reconcile() == 0
    ledger = await life.ledger()
    assert (ledger.settled, ledger.admitted) == (PRICE_MICROS, 1)
    assert await life.resources.commands("ZCARD", "bw:tenant:acme:slots") == 0


async def test_nothing_more_is_sent_about_it(life: Life) -> None:
    """Deliveries that are owed are dropped, those of other predictions are not."""
    await life.register()
    kept, gone = await completed(life), await completed(life)
    assert len(await owed_deliveries(life.resources.commands)) == 2
    await delete(life, gone)
    left = [await life.resources.deliveries.load(one) for one in await owed_deliveries(life.resources.commands)]
    assert {delivery.prediction for delivery in left if delivery is not None} == {kept}
    shown = (await life.gateway.client.get("/v1/deliveries", params={"prediction_id": gone})).json()
    assert shown["data"] == []


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_one_that_goes_on_is_canceled_and_still_closed(life: Life, status: str) -> None:
    """Its slot is free at once, no event tells of it, and what it costs is found out all the same."""
    await life.gateway.limit(concurrency=1)
    await life.register()
    prediction_id = await life.submit()
    await delete(life, prediction_id)
    assert await life.owed() == set()
    assert (await life.ledger()).held == PRICE_MICROS
    await life.submit()  # there is a slot
    life.finish(all=True, status=status)
    await life.pass_time(600)
    ledger = await life.ledger()
    expected = {"completed": (2 * PRICE_MICROS, 0), "failed": (0, 2 * PRICE_MICROS)}
    assert (ledger.held, ledger.settled, ledger.released) == (0, *expected[status])
    record = await life.load(prediction_id)
    assert (record.closed_at_ms > 0, record.answer.get("outputs")) == (True, [])
    assert (await life.gateway.client.get(f"/v1/predictions/{prediction_id}")).status_code == 404


async def test_several_are_deleted_at_once(life: Life) -> None:
    """Those that are there and one's own are counted, each once."""
    ids = [await life.submit() for _ in range(2)]
    foreign = await life.submit(tenant_key=await life.gateway.key_of("rival"))
    body = {"ids": [*ids, ids[0], foreign, "0" * 32, "x"]}
    answer = await life.gateway.client.post("/api/v3/predictions/delete", json=body)
    assert answer.json() == {"code": 200, "message": "success", "data": {"deleted_count": 2}}
    assert (await life.load(foreign)).deleted_at_ms == 0


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": "x"}, {"ids": [5]}, {"ids": ["x"] * 101}])
async def test_a_wrong_list_of_ids_is_named(life: Life, body: dict[str, Any]) -> None:
    """A 400 in WaveSpeed's envelope; nothing is deleted."""
    answer = await life.gateway.client.post("/api/v3/predictions/delete", json=body)
    assert (answer.status_code, answer.json()["message"][:3]) == (400, "ids")


async def test_another_tenant_s_cannot_be_deleted(life: Life) -> None:
    """It is not there for anybody else."""
    prediction_id = await life.submit()
    foreign = {"authorization": f"Bearer {await life.gateway.key_of('rival')}"}
    for path in ("/v1/predictions/", "/api/v3/predictions/"):
        answer = await life.gateway.client.delete(f"{path}{prediction_id}", headers=foreign)
        assert answer.status_code == 404
    assert (await life.native(prediction_id))["status"] == "created"
