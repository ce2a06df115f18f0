"""The main job, end to end: read this first."""

import hashlib
import hmac
import json

from standardwebhooks import Webhook

from tests.journeys.system import SECRET_KEY, Receiver, System
from tests.waiting import wait_until


async def test_a_submission_becomes_a_video_and_a_verified_callback(system: System, receiver: Receiver) -> None:
    """One paid submission; the client sees our id, the receiver a signed event, the simulator our secret key."""
    await system.start()
    created = await system.client.post("/v1/endpoints", json={"url": f"{receiver.url}/events"})
    assert created.status_code == 201, created.text
    secret = created.json()["secret"]

    submitted = await system.client.post(
        "/api/v3/openai/sora-2?webhook=" + f"{receiver.url}/own?token=abc".replace("?", "%3F"),
        json={"prompt": "a lighthouse", "aspect_ratio": "16:9", "seed": 7, "enable_sync_mode": False},
        headers={"x-client-name": "demo", "x-internal": "stays here", "x-request-id": "req-1"},
    )
    assert submitted.status_code == 200, submitted.text
    assert submitted.headers["x-request-id"] == "req-1"
    data = submitted.json()["data"]
    assert data["status"] == "created"
    assert data["urls"]["get"] == f"{system.gateway_url}/api/v3/predictions/{data['id']}/result"

    done = await system.ended(data["id"])
    assert done["status"] == "completed"
    assert done["id"] == data["id"]
    assert done["urls"] == data["urls"]
    video = await system.upstream.get(done["outputs"][0])
    assert video.headers["content-type"] == "video/mp4"
    assert video.content[4:8] == b"ftyp"

    seen = await system.seen_upstream()
    assert seen["paid_submissions"] == 1
    [task] = seen["submissions"]
    assert task["headers"]["authorization"] == f"Bearer {SECRET_KEY}"
    assert task["headers"]["x-client-name"] == "demo"
    assert "x-internal" not in task["headers"]
    assert task["input"] == {"prompt": "a lighthouse", "aspect_ratio": "16:9", "seed": 7}
    assert not task["webhook"]
    assert task["id"] != data["id"]
    assert task["id"] not in submitted.text

    await wait_until(
        lambda: (
            {c.path for c in receiver.received} >= {"/events", "/own"}
            and any(b"prediction.completed" in c.body for c in receiver.received)
        ),
        what="both callbacks arrive",
    )
    event = next(c for c in receiver.received if c.path == "/events" and b"prediction.completed" in c.body)
    body = Webhook(secret).verify(event.body, event.headers)
    assert body["type"] == "prediction.completed"
    assert body["data"]["id"] == data["id"]
    assert body["data"]["outputs"] == done["outputs"]
    assert body["data"]["input"]["prompt"] == "a lighthouse"

    [own] = [c for c in receiver.received if c.path == "/own"]
    tenant_secret = (await system.client.get("/api/v3/webhook/secret")).json()["data"]["secret"]
    signed = f"{own.headers['webhook-id']}.{own.headers['webhook-timestamp']}.".encode() + own.body
    expected = hmac.new(tenant_secret.removeprefix("whsec_").encode(), signed, hashlib.sha256).hexdigest()
    assert own.headers["webhook-signature"] == f"v3,{expected}"
    assert own.headers["webhook-id"] == data["id"]
    assert json.loads(own.body)["urls"] == data["urls"]


async def test_what_a_stranger_sees(system: System) -> None:
    """Another tenant's prediction, an unknown id and an unknown key look like nothing at all; nothing is charged."""
    await system.start(worker=False)
    mine = await system.submit("mine")
    other_key = await system.create_tenant("other")
    foreign = {"authorization": f"Bearer {other_key}"}
    for path in (f"/api/v3/predictions/{mine['id']}/result", f"/api/v3/predictions/{mine['id']}"):
        answer = await system.client.get(path, headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (404, 404)
        assert (await system.client.get(path)).status_code == 200
    assert (await system.client.get("/api/v3/predictions/" + "0" * 32)).status_code == 404

    wrong = await system.client.post(
        "/api/v3/openai/sora-2", json={"prompt": "x"}, headers={"authorization": "Bearer bw_nonsense"}
    )
    assert (wrong.status_code, wrong.json()["code"]) == (401, 401)
    assert (await system.seen_upstream())["paid_submissions"] == 1


async def test_the_reference_page_s_own_example_is_refused(system: System) -> None:
    """A body without a prompt gets a 400 that names it, before anything is sent or charged."""
    await system.start(worker=False)
    answer = await system.client.post("/api/v3/openai/sora-2", json={"aspect_ratio": "9:16"})
    assert answer.status_code == 400
    assert answer.json() == {"code": 400, "message": "prompt: is required"}
    seen = await system.seen_upstream()
    assert seen["paid_submissions"] == 0
    assert seen["submissions"] == []
