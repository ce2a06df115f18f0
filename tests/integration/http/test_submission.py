"""What a drop-in submission is refused for, and what of it goes upstream."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.http.gateway import PUBLIC_URL, Gateway, open_gateway, posts_seen, settings
from tests.integration.simulator.running import KEY, MODEL, Running

MODELS_TOML = "".join(
    f"""
[models."{model}"]
name = "A model"
price = {{ run_usd = "0.10" }}
poll = {{ usual_s = 45, step_s = 5, max_step_s = 30, deadline_s = 1800 }}
inputs = {{ type = "object", required = ["prompt"], properties.prompt.type = "string" }}
"""
    for model in ("openai/sora-2/text-to-video", "vendor/family/model/variant")
)


async def test_an_accepted_submission(gateway: Gateway, simulator: Running) -> None:
    """Our id and our address, status `created`; upstream once, with our key and only what may travel."""
    answer = await gateway.client.post(
        f"/api/v3/{MODEL}?webhook=http%3A%2F%2F127.0.0.1%3A9%2Fa%3Fb%3Dc&debug=1",
        json={
            "prompt": "a wave",
            "aspect_ratio": "16:9",
            "unknown_field": {"deep": [1, None, 0.5, True]},
            "webhook_url": "http://127.0.0.1:9/",
            "webhook": "http://127.0.0.1:9/",
            "enable_sync_mode": False,
            "enable_base64_output": False,
        },
        headers={
            "x-client-name": "demo",
            "x-client-version": "1.2",
            "x-client-os": "linux",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "a=b",
            "x-internal": "stays here",
            "cookie": "stays=here",
            "x-forwarded-for": "10.1.2.3",
            "user-agent": "stays-here/1",
            "referer": "https://stays.here",
        },
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    envelope = answer.json()
    assert (envelope["code"], envelope["message"], set(envelope)) == (200, "success", {"code", "message", "data"})
    data = envelope["data"]
    assert (data["status"], data["model"], data["outputs"], data["error"]) == ("created", MODEL, [], "")
    assert data["urls"] == {"get": f"{PUBLIC_URL}/api/v3/predictions/{data['id']}/result"}

    [task] = simulator.seen()["submissions"]
    assert task["input"] == {
        "prompt": "a wave",
        "aspect_ratio": "16:9",
        "unknown_field": {"deep": [1, None, 0.5, True]},
    }
    assert (task["query"], task["webhook"]) == ("", "")
    assert task["id"] not in answer.text
    headers = task["headers"]
    assert headers.pop("authorization") == f"Bearer {KEY}"
    assert headers.pop("content-type") == "application/json"
    assert headers.pop("traceparent").startswith("00-0af7651916cd43dd8448eb211c80319c-")
    for transport in ("host", "content-length"):
        headers.pop(transport)
    assert headers == {"x-client-name": "demo", "x-client-version": "1.2", "x-client-os": "linux", "tracestate": "a=b"}


async def test_nothing_of_the_upstream_s_headers_comes_back(gateway: Gateway) -> None:
    """An answer has our own headers and no other."""
    answer = await gateway.submit()
    assert set(answer.headers) == {"content-type", "content-length", "x-request-id"}


@pytest.mark.parametrize("value", ["caf\xe9", "x" * 257, "tab\there"])
async def test_a_header_that_may_not_travel_as_it_is_stays_here(
    gateway: Gateway, simulator: Running, value: str
) -> None:
    """A strange client name stops no submission."""
    headers = {"x-client-name": value.encode("latin-1"), "authorization": f"Bearer {gateway.key}".encode()}
    answer = await gateway.client.post(f"/api/v3/{MODEL}", json={"prompt": "x"}, headers=headers)  # type: ignore[arg-type] # bytes
    assert answer.status_code == 200
    assert "x-client-name" not in simulator.seen()["submissions"][0]["headers"]


async def test_synchronous_mode_says_to_read_later(redis_url: str, simulator: Running) -> None:
    """200 with the task code of a wait that ended, and `processing`; upstream it is an ordinary submission."""
    async with open_gateway(settings(redis_url, simulator.url, max_wait_s=0.05)) as gateway:
        data = (await gateway.submit("[sim:stuck]", enable_sync_mode=True)).json()["data"]
        assert (data["status"], data["code"]) == ("processing", 5004)
        assert simulator.seen()["submissions"][0]["input"] == {"prompt": "[sim:stuck]"}
        assert (await gateway.result(data["id"]))["id"] == data["id"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "prompt: is required"),
        (
            {"prompt": "x", "enable_base64_output": True, "webhook_url": "http://127.0.0.1/"},
            "enable_base64_output: a webhook callback does not carry base64 output; leave one of the two out",
        ),
        ({"prompt": "x", "enable_sync_mode": "yes"}, "enable_sync_mode: must be true or false"),
        ({"prompt": "x", "enable_base64_output": 1}, "enable_base64_output: must be true or false"),
        ({"prompt": "x", "webhook_url": 5}, "webhook_url: must be a URL"),
        ({"prompt": "x", "webhook_url": False}, "webhook_url: must be a URL"),
        ({"prompt": "x", "webhook_url": "http://127.0.0.1/", "webhook": 0}, "webhook: must be a URL"),
        ({"prompt": "x", "webhook_url": "http://127.0.0.1/", "webhook": "A"}, "the callback URL must begin with"),
        ({"prompt": "x", "webhook_url": "http://127.0.0.1/" + "a" * 3000}, "webhook_url: must be a URL"),
        (["x"], "the body must be a JSON object"),
        ("x", "the body must be a JSON object"),
        (5, "the body must be a JSON object"),
    ],
)
async def test_a_wrong_body_is_a_400_that_names_the_field(
    gateway: Gateway, simulator: Running, body: Any, message: str
) -> None:
    """In WaveSpeed's envelope; nothing is sent."""
    answer = await gateway.client.post(f"/api/v3/{MODEL}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert message in answer.json()["message"]
    assert posts_seen(simulator) == 0


async def test_every_wrong_field_is_named(gateway: Gateway) -> None:
    """Not only the first."""
    answer = await gateway.client.post(f"/api/v3/{MODEL}", json={"image": 5, "aspect_ratio": "square"})
    message = answer.json()["message"]
    assert answer.status_code == 400
    assert all(f"{name}: " in message for name in ("prompt", "image", "aspect_ratio"))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{\n  "prompt": x}', "line 2 column 13"),
        (b'{"prompt": "a"', "line 1 column 14"),
        (b'{"prompt": NaN}', "line 1 column 12"),
        (b"", "line 1 column 0"),
        (b'{"prompt": "\xff"}', "line 1 column"),
        (b'{"prompt": "\\ud800"}', "line 1 column"),
        (b"[" * 100_000, "recursion"),
        (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "line 1 column"),
    ],
)
async def test_broken_json_is_a_400_that_names_the_place(
    gateway: Gateway, simulator: Running, body: bytes, place: str
) -> None:
    """Line and column, and nothing of the body itself."""
    answer = await gateway.client.post(f"/api/v3/{MODEL}", content=body)
    assert answer.status_code == 400, answer.text
    assert "not valid JSON" in answer.json()["message"]
    assert place in answer.json()["message"]
    assert posts_seen(simulator) == 0


async def test_large_numbers_arrive_as_they_were(gateway: Gateway, simulator: Running) -> None:
    """An integer beyond 64 bits is passed on unchanged."""
    assert (await gateway.submit(seed=10**25)).status_code == 200
    assert simulator.seen()["submissions"][0]["input"]["seed"] == 10**25


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_a_413(gateway: Gateway, simulator: Running, declared: bool) -> None:
    """Refused when its length says so, and where it has none, as soon as it passes the limit."""
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield b" " * 65_536

    content = b" " * 1_048_577 if declared else chunks()
    answer = await gateway.client.post(f"/api/v3/{MODEL}", content=content)
    assert answer.status_code == 413
    assert answer.json() == {"code": 413, "message": "the body is larger than 1048576 bytes"}
    assert taken == (0 if declared else 17)
    assert posts_seen(simulator) == 0


async def test_a_body_of_exactly_the_limit_is_read(gateway: Gateway) -> None:
    """The limit itself is allowed."""
    body = b'{"prompt": ""}'
    answer = await gateway.client.post(f"/api/v3/{MODEL}", content=body + b" " * (1_048_576 - len(body)))
    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, "prompt")


@pytest.mark.parametrize("path", ["openai/sora-9", "sora-2", "a/b/c/d/e", "openai/sora-2/", "%2e%2e/x"])
async def test_an_unknown_model_is_a_404(gateway: Gateway, simulator: Running, path: str) -> None:
    """Any path is taken for a model, and only the catalogue's are known."""
    answer = await gateway.submit(path=path)
    assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert "unknown model" in answer.json()["message"]
    assert MODEL in answer.json()["message"]
    assert posts_seen(simulator) == 0


async def test_model_ids_of_three_and_four_segments(redis_url: str, simulator: Running, tmp_path: Path) -> None:
    """The operator's models are routed by their whole path."""
    models = tmp_path / "models.toml"
    models.write_text(MODELS_TOML)
    async with open_gateway(settings(redis_url, simulator.url, models_file=models)) as gateway:
        three = await gateway.submit(path="openai/sora-2/text-to-video")
        four = await gateway.submit(path="vendor/family/model/variant")
    assert three.json()["data"]["model"] == "openai/sora-2/text-to-video"
    assert simulator.seen()["submissions"][0]["model"] == "openai/sora-2/text-to-video"
    assert four.json() == {"code": 404, "message": "model not found: vendor/family/model/variant"}


@pytest.mark.parametrize("where", ["query", "webhook_url", "webhook"])
async def test_a_callback_that_is_not_allowed_is_a_400(gateway: Gateway, simulator: Running, where: str) -> None:
    """The setting that decides is named, wherever the callback stood."""
    url = "https://10.1.2.3/hook"
    if where == "query":
        answer = await gateway.client.post(f"/api/v3/{MODEL}", params={"webhook": url}, json={"prompt": "x"})
    else:
        answer = await gateway.submit("x", **{where: url})
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert "BREAKWATER_CALLBACK_ALLOW" in answer.json()["message"]
    assert posts_seen(simulator) == 0


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "missing API key"),
        ("Basic abc", "missing API key"),
        ("Bearer ", "missing API key"),
        ("Bearer bw_nonsense", "unknown API key"),
        (f"Bearer {KEY}", "unknown API key"),
        ("Bearer bw_" + "0" * 200, "unknown API key"),
    ],
)
async def test_without_a_key_of_ours_nothing_is_done(
    gateway: Gateway, simulator: Running, header: str, message: str
) -> None:
    """401 in the envelope, before the body is looked at; the upstream's own key is none."""
    answer = await gateway.client.post(f"/api/v3/{MODEL}", content=b"{", headers={"authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, 401)
    assert message in answer.json()["message"]
    assert answer.headers["www-authenticate"] == "Bearer"
    assert posts_seen(simulator) == 0


async def test_the_scheme_is_written_as_one_likes(gateway: Gateway) -> None:
    """`bearer` and `BEARER` are the same scheme."""
    answer = await gateway.client.post(
        f"/api/v3/{MODEL}", json={"prompt": "x"}, headers={"authorization": f"bEaReR  {gateway.key} "}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("switch", ["enable_sync_mode", "enable_base64_output", "webhook", "webhook_url"])
async def test_switches_are_no_native_input(gateway: Gateway, simulator: Running, switch: str) -> None:
    """WaveSpeed would act on them, and call back whom nobody allowed: they are named, and nothing is sent."""
    body = {"model": MODEL, "input": {"prompt": "a wave", switch: "http://169.254.169.254/"}}
    answer = await gateway.client.post("/v1/predictions", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, f"input.{switch}")
    assert posts_seen(simulator) == 0
