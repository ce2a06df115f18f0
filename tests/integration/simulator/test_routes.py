"""The double answers every route as WaveSpeed does."""

import re
from typing import Any

import httpx2
import pytest

from simulator.state import Options
from tests.integration.simulator.running import MODEL, VIDEO_S, Running, running_simulator

VIDEO_MODELS = (
    MODEL,
    "openai/sora-2/text-to-video",
    "openai/sora-2/text-to-video-pro",
    "openai/sora-2-pro/text-to-video",
)


async def submit(client: httpx2.AsyncClient, prompt: str = "a wave", model: str = MODEL, **more: Any) -> dict[str, Any]:
    """Submit, and return `data` of the answer, which must be a success."""
    answer = await client.post(f"/api/v3/{model}", json={"prompt": prompt, **more})
    assert answer.status_code == 200, answer.text
    envelope = answer.json()
    assert (envelope["code"], envelope["message"]) == (200, "success")
    data: dict[str, Any] = envelope["data"]
    return data


async def result(client: httpx2.AsyncClient, task_id: str) -> dict[str, Any]:
    """Read a result."""
    answer = await client.get(f"/api/v3/predictions/{task_id}/result")
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


@pytest.mark.parametrize("model", VIDEO_MODELS)
async def test_a_submission_is_answered_in_the_captured_shape(
    client: httpx2.AsyncClient, simulator: Running, model: str
) -> None:
    """Ids of two to three segments are taken; the answer has every field, and an id of 32 hex digits."""
    data = await submit(client, model=model)
    assert re.fullmatch(r"[0-9a-f]{32}", data["id"])
    assert data == {
        "id": data["id"],
        "model": model,
        "outputs": [],
        "urls": {"get": f"{simulator.url}/api/v3/predictions/{data['id']}/result"},
        "has_nsfw_contents": [],
        "status": "created",
        "created_at": "2027-01-15T08:00:00.000Z",
        "error": "",
        "executionTime": 0,
        "timings": {"inference": 0},
    }


@pytest.mark.parametrize(
    ("model", "inputs", "status", "message"),
    [
        (MODEL, {}, 400, "missing required parameter: prompt"),
        (MODEL, {"prompt": ""}, 400, "missing required parameter: prompt"),
        (MODEL, {"prompt": 5}, 400, "missing required parameter: prompt"),
        ("openai/sora-2/image-to-video", {}, 400, "missing required parameter: image, prompt"),
        ("openai/sora-9", {"prompt": "x"}, 404, "model not found: openai/sora-9"),
        ("a/b/c/d", {"prompt": "x"}, 404, "model not found: a/b/c/d"),
        (MODEL, ["x"], 400, "the body must be a JSON object"),
    ],
)
async def test_a_bad_submission_is_refused_and_costs_nothing(
    client: httpx2.AsyncClient, simulator: Running, model: str, inputs: Any, status: int, message: str
) -> None:
    """What is missing or unknown is named, in WaveSpeed's envelope."""
    answer = await client.post(f"/api/v3/{model}", json=inputs)
    assert answer.status_code == status
    assert answer.json() == {"code": status, "message": message}
    assert simulator.seen()["paid_submissions"] == 0


async def test_broken_json_is_a_400(client: httpx2.AsyncClient) -> None:
    """A body that is no JSON is refused with the reason."""
    answer = await client.post(f"/api/v3/{MODEL}", content=b'{"prompt": ')
    assert answer.status_code == 400
    assert "invalid JSON" in answer.json()["message"]


async def test_without_the_key_nothing_is_to_be_had(simulator: Running) -> None:
    """A wrong key, another scheme and no key at all get 401 on every kind of route, and are counted."""
    async with simulator.client("wrong") as client:
        answers = [
            await client.post(f"/api/v3/{MODEL}", json={"prompt": "x"}),
            await client.get("/api/v3/balance"),
            await client.get("/api/v3/predictions/" + "0" * 32),
            await client.get("/api/v3/models", headers={"authorization": "Basic sim-key"}),
            await client.get("/api/v3/webhook/secret", headers={"authorization": ""}),
        ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert {answer.json()["message"] for answer in answers} == {"invalid authentication"}
    assert simulator.seen()["refused"] == {"401": 5}


async def test_unknown_paths_and_methods_are_told_in_the_envelope(client: httpx2.AsyncClient) -> None:
    """404 and 405 look like every other error."""
    assert (await client.get("/nowhere")).json()["code"] == 404
    assert (await client.put(f"/api/v3/{MODEL}")).json()["code"] == 405


@pytest.mark.parametrize("form", ["/api/v3/predictions/{}/result", "/api/v3/predictions/{}"])
async def test_a_run_lives_by_the_clock(client: httpx2.AsyncClient, simulator: Running, form: str) -> None:
    """Created, processing, completed: both forms of the result follow the clock, and nothing waits."""
    path = form.format((await submit(client))["id"])
    statuses = []
    for moved_s in (0.0, 0.5 * VIDEO_S, VIDEO_S):
        simulator.clock.now_s += moved_s
        data = (await client.get(path)).json()["data"]
        statuses.append(data["status"])
    assert statuses == ["created", "processing", "completed"]
    assert data["outputs"] == [f"{simulator.url}/outputs/{data['id']}.mp4"]
    assert data["has_nsfw_contents"] == [False]
    assert 0.9 * VIDEO_S * 1000 <= data["executionTime"] <= 1.1 * VIDEO_S * 1000
    assert simulator.seen()["submissions"][0]["reads"] == 3
    assert (await client.get(form.format("f" * 32))).status_code == 404


async def test_images_take_their_own_time_and_price(client: httpx2.AsyncClient, simulator: Running) -> None:
    """An image model is quicker and cheaper than a video."""
    data = await submit(client, model="wavespeed-ai/flux-dev")
    simulator.clock.now_s += 2.5
    assert (await result(client, data["id"]))["status"] == "completed"
    assert simulator.seen()["spent"] == 0.012


async def test_base64_outputs(client: httpx2.AsyncClient, simulator: Running) -> None:
    """With `enable_base64_output` the output is the file itself; together with a webhook it is refused."""
    data = await submit(client, enable_base64_output=True)
    simulator.control("POST", "finish", all=True)
    [output] = (await result(client, data["id"]))["outputs"]
    assert not output.startswith(("http", "data:"))
    refused = await client.post(
        f"/api/v3/{MODEL}?webhook=https://example.com", json={"prompt": "x", "enable_base64_output": True}
    )
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


async def test_the_list_is_paged_and_newest_first(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Pages follow each other without gap, and `total` counts everything."""
    ids = []
    for _ in range(5):
        ids.append((await submit(client))["id"])
        simulator.clock.now_s += 1
    listed = []
    for page in (1, 2, 3):
        data = (await client.post("/api/v3/predictions", json={"page": page, "page_size": 2})).json()["data"]
        assert (data["page"], data["total"]) == (page, 5)
        listed += [item["id"] for item in data["items"]]
        assert all("input" not in item for item in data["items"])
    assert listed == ids[::-1]


async def test_the_list_is_filtered(client: httpx2.AsyncClient, simulator: Running) -> None:
    """By model, status and time; with the inputs where they are asked for."""
    first = await submit(client, "first")
    simulator.clock.now_s += 60
    await submit(client, "second", model=VIDEO_MODELS[1])

    async def prompts(**query: Any) -> list[str]:
        answer = await client.post("/api/v3/predictions", json={"include_inputs": True, **query})
        return [item["input"]["prompt"] for item in answer.json()["data"]["items"]]

    assert await prompts() == ["second", "first"]
    assert await prompts(model=MODEL) == ["first"]
    assert await prompts(status="completed") == ["first"]
    assert await prompts(created_after="2027-01-15T08:00:30.000Z") == ["second"]
    assert await prompts(created_before="2027-01-15T08:00:30.000Z") == ["first"]
    assert (await result(client, first["id"]))["status"] == "completed"


@pytest.mark.parametrize("query", [{"page": 0}, {"page_size": 101}, {"page_size": "many"}])
async def test_a_bad_list_query_names_the_field(client: httpx2.AsyncClient, query: dict[str, Any]) -> None:
    """What the list cannot be asked is a 400."""
    answer = await client.post("/api/v3/predictions", json=query)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{next(iter(query))}: ")


async def test_both_forms_of_deleting(client: httpx2.AsyncClient, simulator: Running) -> None:
    """A deleted run is gone from results and list; what is not there cannot be deleted; the payment stands."""
    ids = [(await submit(client))["id"] for _ in range(3)]
    one = await client.delete(f"/api/v3/predictions/{ids[0]}")
    assert one.json()["data"] == {"id": ids[0], "status": "deleted"}
    assert (await client.delete(f"/api/v3/predictions/{ids[0]}")).status_code == 404
    many = await client.post("/api/v3/predictions/delete", json={"ids": [ids[0], ids[1], ids[1]]})
    assert many.json()["data"] == {"deleted_count": 1}
    assert (await client.get(f"/api/v3/predictions/{ids[1]}")).status_code == 404
    [left] = (await client.post("/api/v3/predictions", json={})).json()["data"]["items"]
    assert left["id"] == ids[2]
    assert simulator.seen()["paid_submissions"] == 3
    assert (await client.post("/api/v3/predictions/delete", json={"ids": []})).status_code == 400


async def test_every_accepted_submission_is_paid(client: httpx2.AsyncClient, simulator: Running) -> None:
    """The balance goes down by what the price routes say."""

    async def balance() -> float:
        left: float = (await client.get("/api/v3/balance")).json()["data"]["balance"]
        return left

    model = "openai/sora-2/text-to-video"
    priced = {"model_id": model, "inputs": {"duration": 12}}
    price = (await client.post("/api/v3/model/price", json=priced)).json()["data"]
    assert price == {"price": 1.2, "discounted_price": 1.2, "discount_rate": 100, "currency": "USD"}
    older = (await client.post("/api/v3/model/pricing", json={"model_id": model})).json()["data"]
    assert older == {"model_id": model, "unit_price": 0.4, "currency": "USD"}
    before = await balance()
    await submit(client, model=model, duration=12)
    assert await balance() == before - 1.2
    seen = simulator.seen()
    assert (seen["paid_submissions"], seen["spent"], seen["balance"]) == (1, 1.2, before - 1.2)
    assert (await client.post("/api/v3/model/price", json={"model_id": "a/b"})).status_code == 404
    assert (await client.post("/api/v3/model/price", json={**priced, "inputs": 5})).status_code == 400


async def test_models_carry_their_schema(client: httpx2.AsyncClient) -> None:
    """The list of models has what clients read from it."""
    models = {model["model_id"]: model for model in (await client.get("/api/v3/models")).json()["data"]}
    assert set(VIDEO_MODELS) < set(models)
    sora = models[MODEL]
    assert set(sora) == {"model_id", "name", "type", "base_price", "formula", "description", "api_schema"}
    schema = sora["api_schema"]["api_schemas"][0]["request_schema"]
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["aspect_ratio"]["enum"] == ["9:16", "16:9"]


async def test_an_upload_ticket_is_put_to_storage_without_a_key(client: httpx2.AsyncClient, simulator: Running) -> None:
    """The ticket says where, how and until when; what was put there is read back."""
    wanted = {"filename": "a.png", "size": 5, "content_type": "image/png"}
    ticket = (await client.post("/api/v3/media/uploads", json=wanted)).json()["data"]
    upload = ticket.pop("upload")
    assert ticket == {"type": "image", "download_url": upload["url"], "filename": "a.png", "size": 5}
    assert (upload["method"], upload["expires_at"]) == ("PUT", "2027-01-15T09:00:00.000Z")
    async with httpx2.AsyncClient(trust_env=False) as storage:
        assert (await storage.get(upload["url"])).status_code == 404
        assert (await storage.put(upload["url"], content=b"bytes", headers=upload["headers"])).is_success
        kept = await storage.get(ticket["download_url"])
    assert (kept.content, kept.headers["content-type"]) == (b"bytes", "image/png")
    refused = await client.post("/api/v3/media/uploads", json={"filename": "", "size": 5})
    assert refused.json()["message"].startswith("filename: ")


async def test_a_multipart_upload(client: httpx2.AsyncClient) -> None:
    """The field `file` is kept, byte for byte; without it the upload is refused."""
    content = bytes(range(256)) + b"\r\n--\r\n"
    files = {"file": ("b.bin", content, "video/mp4")}
    data = (await client.post("/api/v3/media/upload/binary", files=files)).json()["data"]
    assert (data["type"], data["filename"], data["size"]) == ("video", "b.bin", len(content))
    assert (await client.get(data["download_url"])).content == content
    refused = await client.post("/api/v3/media/upload/binary", files={"other": b"x"})
    assert refused.json() == {"code": 400, "message": "file: is required"}


async def test_outputs_are_real_videos_read_in_ranges(client: httpx2.AsyncClient, simulator: Running) -> None:
    """An MP4, only once the run is completed, whole or in the range asked for."""
    data = await submit(client)
    path = f"/outputs/{data['id']}.mp4"
    assert (await client.get(path)).status_code == 404
    simulator.control("POST", "finish", id=data["id"])
    whole = await client.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.content[4:8] == b"ftyp"
    assert b"moov" in whole.content
    size = len(whole.content)
    for asked, expected in {"4-7": b"ftyp", "0-0": whole.content[:1], "-3": whole.content[-3:]}.items():
        part = await client.get(path, headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, expected)
    rest = await client.get(path, headers={"range": f"bytes={size - 2}-{size + 50}"})
    assert rest.headers["content-range"] == f"bytes {size - 2}-{size - 1}/{size}"
    outside = await client.get(path, headers={"range": f"bytes={size}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{size}")


async def test_the_same_seed_gives_the_same_ids_and_durations() -> None:
    """Two simulators given the same submissions cannot be told apart; another seed gives other ids."""
    runs = []
    for seed in (3, 3, 4):
        with running_simulator(Options(seed=seed)) as running:
            async with running.client() as client:
                ids = [(await submit(client, f"wave {number}"))["id"] for number in range(3)]
                running.clock.now_s += 60
                times = [(await result(client, task_id))["executionTime"] for task_id in ids]
                secret = (await client.get("/api/v3/webhook/secret")).json()["data"]["secret"]
        runs.append((ids, times, secret))
    assert runs[0] == runs[1]
    assert not set(runs[0][0]) & set(runs[2][0])
    assert runs[0][2] != runs[2][2]
    assert len(set(runs[0][0])) == 3
