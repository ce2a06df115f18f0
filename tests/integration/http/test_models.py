"""The catalogue as callers see it: what they may submit to, what it costs, what is on its way out."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from service.domain.tenant_spec import read_spec
from tests.integration.http.gateway import PUBLIC_URL, Gateway, open_gateway, posts_seen, settings
from tests.integration.simulator.running import Running

FILE: Final = """
[models."acme/old"]
name = "Old"
state = "deprecated"
deprecated_at = 2026-09-01
sunset_at = 2026-12-31
replacement = "openai/sora-2"
price = { run_usd = "0.20" }
poll = { usual_s = 30, step_s = 5, max_step_s = 20, deadline_s = 900 }
inputs = { type = "object" }
[models."acme/gone"]
name = "Gone"
state = "retired"
replacement = "openai/sora-2"
price = { run_usd = "0.20" }
poll = { usual_s = 30, step_s = 5, max_step_s = 20, deadline_s = 900 }
inputs = { type = "object" }
"""

ON_ITS_WAY_OUT: Final = {
    "deprecation": "@1788220800",
    "sunset": "Thu, 31 Dec 2026 00:00:00 GMT",
    "link": '</v1/models/openai/sora-2>; rel="successor-version"',
}

SORA: Final = "openai/sora-2"
OTHER: Final = "wavespeed-ai/flux-dev"
"""A model WaveSpeed has and the catalogue does not."""


@pytest.fixture
async def gateway(redis_url: str, simulator: Running, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with two models of its operators' own, and an operators' face."""
    (tmp_path / "models.toml").write_text(FILE)
    configuration = settings(redis_url, simulator.url, models_file=tmp_path / "models.toml")
    async with open_gateway(configuration) as gateway:
        yield gateway


async def data(gateway: Gateway, path: str, **query: str) -> Any:
    """What a read answers under `data`."""
    answer = await gateway.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def priced(gateway: Gateway, word: str = "price", **question: Any) -> Any:
    """A question for a price."""
    return await gateway.client.post(f"/api/v3/model/{word}", json=question)


async def restrict(gateway: Gateway, *models: str) -> None:
    """Give the tenant a list of models; its key is looked up anew."""
    await gateway.resources.administer.put_tenant("acme", read_spec({"models": list(models)}))
    gateway.resources.authenticate.cache.clear()


async def test_models_in_wavespeeds_form(gateway: Gateway) -> None:
    """Every model that may be submitted to, as WaveSpeed's clients read it; addresses are the gateway's."""
    listed = {model["model_id"]: model for model in await data(gateway, "/api/v3/models")}
    assert SORA in listed
    assert "acme/old" in listed
    assert "acme/gone" not in listed
    sora = listed[SORA]
    assert set(sora) == {"model_id", "name", "type", "base_price", "formula", "description", "api_schema"}
    assert (sora["base_price"], sora["type"]) == (0.4, "text-to-video")
    assert sora["api_schema"]["server"] == PUBLIC_URL
    [run] = sora["api_schema"]["api_schemas"]
    assert (run["type"], run["api_path"]) == ("model_run", "/api/v3/openai/sora-2")
    assert run["request_schema"] == gateway.resources.catalogue.get(SORA).inputs


async def test_a_tenant_sees_its_own_models(gateway: Gateway) -> None:
    """Neither face offers what the tenant's list does not name, nor prices it."""
    await restrict(gateway, "openai/*-video")
    own = {"openai/sora-2/image-to-video", "openai/sora-2/text-to-video"}
    own |= {"openai/sora-2-pro/image-to-video", "openai/sora-2-pro/text-to-video"}
    assert {model["model_id"] for model in await data(gateway, "/api/v3/models")} == own
    assert {model["id"] for model in await data(gateway, "/v1/models")} == own
    assert (await gateway.client.get(f"/v1/models/{SORA}")).json()["code"] == "model_denied"
    denied = await priced(gateway, model_id=SORA)
    assert denied.json() == {"code": 403, "message": "tenant acme may not use model openai/sora-2"}


async def test_prices(gateway: Gateway) -> None:
    """What a run with these inputs would hold, in both forms; asking holds nothing and reaches nobody."""
    answer = await priced(gateway, model_id="openai/sora-2/text-to-video", inputs={"duration": 12})
    assert answer.json()["data"] == {"price": 1.2, "discounted_price": 1.2, "discount_rate": 100, "currency": "USD"}
    older = await priced(gateway, "pricing", model_id=SORA)
    assert older.json()["data"] == {"model_id": SORA, "unit_price": 0.4, "currency": "USD"}
    assert (await gateway.client.get("/v1/quota")).json()["money"]["held_usd"] == "0.00"


@pytest.mark.parametrize(
    ("question", "status", "message"),
    [
        ({"model_id": "openai/sora-9"}, 404, "unknown model 'openai/sora-9'"),
        ({"model_id": SORA, "inputs": {"duration": "long"}}, 400, "inputs.duration: must be a whole number of seconds"),
        ({"model_id": SORA, "inputs": 5}, 400, "inputs: Input should be a valid dictionary"),
        ({}, 400, "model_id: Field required"),
        ({"model_id": "acme/gone"}, 410, "model acme/gone has been retired; use openai/sora-2 instead"),
    ],
)
async def test_a_price_that_cannot_be_told(
    gateway: Gateway, question: dict[str, Any], status: int, message: str
) -> None:
    """The refusal names the field, or the model to use."""
    for word in ("price", "pricing"):
        answer = await priced(gateway, word, **question)
        assert (answer.status_code, answer.json()["code"]) == (status, status)
        assert message in answer.json()["message"]


async def test_models_in_the_native_form(gateway: Gateway) -> None:
    """All that is known of a model; lists can be asked for one state."""
    listed = {model["id"]: model for model in await data(gateway, "/v1/models")}
    assert {"acme/old", "acme/gone", SORA} < set(listed)
    assert [model["id"] for model in await data(gateway, "/v1/models", state="retired")] == ["acme/gone"]
    assert (await gateway.client.get("/v1/models", params={"state": "new"})).json()["errors"][0]["field"] == "state"
    pro = (await gateway.client.get("/v1/models/openai/sora-2-pro/image-to-video")).json()
    assert pro == listed["openai/sora-2-pro/image-to-video"]
    assert pro["inputs"]["required"] == ["image", "prompt"]
    assert pro["price"] == {
        "usual_usd": "1.20",
        "formula": "0.50 * duration (4 if left out) * factor of resolution (0.6 for 720p, 1 for 1080p)",
        "run_usd": "0",
        "second_usd": "0.50",
        "seconds_input": "duration",
        "default_s": 4,
        "size_input": "resolution",
        "size_factors": {"720p": "0.6", "1080p": "1"},
    }
    assert pro["poll"] == {"usual_s": 90, "step_s": 5, "max_step_s": 30, "deadline_s": 1800}
    gone = listed["acme/gone"]
    assert (gone["state"], gone["replacement"], gone["price"]["size_factors"]) == ("retired", SORA, {})
    assert (await gateway.client.get("/v1/models/openai/sora-9")).json()["code"] == "not_found"


async def test_a_deprecated_model_says_so(gateway: Gateway) -> None:
    """Reading it, pricing it and submitting to it answer with the same header fields, on either face."""
    answers = [
        await gateway.client.get("/v1/models/acme/old"),
        await priced(gateway, model_id="acme/old"),
        await gateway.submit(path="acme/old"),
        await gateway.client.post("/v1/predictions", json={"model": "acme/old", "input": {}}),
    ]
    for answer in answers[:2]:
        assert answer.status_code == 200
    # The simulator knows no such model, so only the refusal comes back from these; the account is not to blame.
    assert [answer.status_code for answer in answers[2:]] == [404, 404]
    for answer in answers[:2]:
        assert {name: answer.headers[name] for name in ON_ITS_WAY_OUT} == ON_ITS_WAY_OUT
    assert not set(ON_ITS_WAY_OUT) & set((await gateway.client.get(f"/v1/models/{SORA}")).headers)


@pytest.mark.parametrize("idempotent", [False, True])
async def test_submissions_to_a_deprecated_model_go_on(
    redis_url: str, simulator: Running, tmp_path: Path, idempotent: bool
) -> None:
    """They are accepted, with the header fields that say what is coming; a replay says it too."""
    (tmp_path / "models.toml").write_text(FILE.replace("acme/old", OTHER))
    configuration = settings(redis_url, simulator.url, models_file=tmp_path / "models.toml")
    async with open_gateway(configuration) as gateway:
        headers = {"idempotency-key": "once"} if idempotent else {}
        for _ in range(2):
            answer = await gateway.client.post(f"/api/v3/{OTHER}", json={"prompt": "a wave"}, headers=headers)
            assert answer.status_code == 200
            assert {name: answer.headers[name] for name in ON_ITS_WAY_OUT} == ON_ITS_WAY_OUT
        assert posts_seen(simulator) == (1 if idempotent else 2)


async def test_a_retired_model_says_what_to_use(gateway: Gateway, simulator: Running) -> None:
    """410 on either face, and nothing is charged or sent."""
    answer = await gateway.submit(path="acme/gone")
    told = "model acme/gone has been retired; use openai/sora-2 instead"
    assert (answer.status_code, answer.json()) == (410, {"code": 410, "message": told})
    native = await gateway.client.post("/v1/predictions", json={"model": "acme/gone", "input": {}})
    assert (native.status_code, native.json()["code"], native.json()["detail"]) == (410, "model_retired", told)
    assert posts_seen(simulator) == 0


async def test_models_no_catalogue_lists_are_unknown(gateway: Gateway, simulator: Running) -> None:
    """Unless operators let them pass."""
    assert (await gateway.submit(path=OTHER)).status_code == 404
    assert posts_seen(simulator) == 0


async def test_models_no_catalogue_lists_may_pass(redis_url: str, simulator: Running) -> None:
    """At the price operators set; metrics and usage call them all the same, so that neither grows with their names."""
    allowing = settings(redis_url, simulator.url, unlisted_models="allow", unlisted_price_usd="0.75")
    async with open_gateway(allowing) as gateway:
        answer = await gateway.submit(path=OTHER, seed=7)
        assert answer.json()["data"]["model"] == OTHER
        assert (await priced(gateway, model_id=OTHER)).json()["data"]["price"] == 0.75
        assert (await gateway.client.get(f"/v1/models/{OTHER}")).json()["listed"] is False
        assert (await gateway.client.get("/v1/quota")).json()["money"]["held_usd"] == "0.75"
        refused = await gateway.submit(path="vendor/nowhere")
        assert (refused.status_code, refused.json()["message"]) == (404, "model not found: vendor/nowhere")
        [row] = await gateway.resources.report_usage("acme", "", "")
        assert (row.model, row["admitted"], row["refused"], row["held"]) == ("unlisted", 1, 1, 750_000)
        assert await gateway.resources.reconcile() == 0
        metrics = (await gateway.client.get("/metrics")).text
        assert 'model="unlisted"' in metrics
        assert OTHER not in metrics


async def test_a_path_of_the_account_is_no_model(redis_url: str, simulator: Running) -> None:
    """However open the gateway is, no submission leads into the company's own account."""
    allowing = settings(redis_url, simulator.url, unlisted_models="allow")
    async with open_gateway(allowing) as gateway:
        for path in ("predictions/delete/x", "user/usage_stats", "billings/search", "media/upload/other", "x"):
            answer = await gateway.submit(path=path)
            assert answer.status_code == 404, path
    assert posts_seen(simulator) == 0


async def test_operators_see_everything(redis_url: str, simulator: Running) -> None:
    """The whole catalogue, whatever any tenant may use."""
    token = "an-operators-token"
    async with open_gateway(settings(redis_url, simulator.url, admin_token=token)) as other:
        headers = {"authorization": f"Bearer {token}"}
        answer = await other.client.get("/admin/v1/models", headers=headers)
        assert {model["id"] for model in answer.json()["data"]} == set(other.resources.catalogue.models)
        one = await other.client.get(f"/admin/v1/models/{SORA}", headers=headers)
        assert one.json()["id"] == SORA
        assert (await other.client.get("/admin/v1/models")).status_code == 401
