"""What holds on every route: forms of errors, request ids, probes, metrics, a store that is away."""

import asyncio
import random
import re
import string
from collections.abc import AsyncIterator

import httpx2
import pytest
from redis.asyncio import Redis

from service.domain.api_keys import mint_api_key
from tests.fault_proxy import FaultProxy
from tests.integration.http.gateway import PUBLIC_URL, Gateway, open_gateway, posts_seen, settings
from tests.integration.simulator.running import MODEL, Running
from tests.waiting import wait_until

PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id", "retryable", "errors"}


@pytest.mark.parametrize("form", ["/api/v3/predictions/{}/result", "/api/v3/predictions/{}"])
async def test_a_result_is_read_in_both_forms(gateway: Gateway, simulator: Running, form: str) -> None:
    """From the store alone: the upstream is not asked, and its id is not shown."""
    submitted = await gateway.submitted()
    answer = await gateway.client.get(form.format(submitted["id"]))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    data = answer.json()["data"]
    assert data == submitted
    assert data["urls"]["get"] == f"{PUBLIC_URL}/api/v3/predictions/{data['id']}/result"
    seen = simulator.seen()
    assert "result" not in seen["requests"]
    assert seen["submissions"][0]["id"] not in answer.text
    head = await gateway.client.head(form.format(submitted["id"]))
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))


async def test_another_tenant_s_prediction_is_not_there(gateway: Gateway) -> None:
    """It looks exactly like an id that never was."""
    submitted = await gateway.submitted()
    foreign = {"authorization": f"Bearer {await gateway.key_of('other')}"}
    path = f"/api/v3/predictions/{submitted['id']}/result"
    answer = await gateway.client.get(path, headers=foreign)
    unknown = await gateway.client.get("/api/v3/predictions/" + "0" * 32, headers=foreign)
    assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert answer.json() == {"code": 404, "message": "prediction not found"}
    assert (await gateway.client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "prediction_id", ["x", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "%0a", "%00" * 32, "bw:tenants", "*" * 32]
)
async def test_what_is_no_id_never_reaches_the_store(
    redis_url: str, simulator: Running, prediction_id: str, redis_proxy: FaultProxy
) -> None:
    """A 404 even while the store is away."""
    async with open_gateway(settings(redis_proxy.url, simulator.url)) as gateway:
        await gateway.submitted()  # the key is known now
        redis_proxy.blackhole()
        answer = await gateway.client.get(f"/api/v3/predictions/{prediction_id}/result")
        assert answer.json() == {"code": 404, "message": "prediction not found"}
        redis_proxy.pass_through()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v3/nowhere", 405),
        ("GET", "/api/v3/openai/sora-2", 405),
        ("GET", "/api/v2/predictions/x/result", 404),
        ("PUT", "/api/v3/webhook/secret", 405),
        ("POST", "/api/v3/webhook/secret", 405),
        ("POST", "/api/v3/balance", 405),
        ("POST", "/api/v3/predictions/" + "0" * 32, 405),
        ("POST", "/api/v3/predictions/x/result", 405),
        ("GET", "/api/v3/predictions/delete", 405),
        ("GET", "/api", 404),
        ("GET", "/v1/nowhere", 404),
        ("PATCH", "/v1/endpoints", 405),
        ("GET", "/", 404),
        ("POST", "/metrics", 405),
    ],
)
async def test_unknown_paths_and_methods(gateway: Gateway, method: str, path: str, status: int) -> None:
    """Each face answers in its own form."""
    answer = await gateway.client.request(method, path)
    assert answer.status_code == status
    if path.startswith("/api/"):
        assert set(answer.json()) == {"code", "message"}
        assert answer.json()["code"] == status
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) == PROBLEM_FIELDS
    if status == 405:
        assert answer.headers["allow"]


async def test_a_problem_says_all_there_is_to_say(gateway: Gateway) -> None:
    """Problem+json with the request's id, what is wrong with which field, and whether to try again."""
    answer = await gateway.client.post(
        "/v1/endpoints", json={"url": 5, "events": "all", "typo": 1}, headers={"x-request-id": "req-7"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert set(problem) == PROBLEM_FIELDS
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", "Bad Request", 400)
    assert (problem["code"], problem["instance"], problem["retryable"]) == ("invalid_input", "/v1/endpoints", False)
    assert problem["request_id"] == "req-7"
    assert {error["field"] for error in problem["errors"]} == {"url", "events", "typo"}


async def test_an_endpoint_s_secret_is_shown_once(gateway: Gateway) -> None:
    """In the answer to its creation; the list, the tenant's alone, has everything else."""
    wanted = {"url": "http://127.0.0.1:9/hook", "events": ["prediction.completed"], "description": "ours"}
    created = await gateway.client.post("/v1/endpoints", json=wanted)
    assert created.status_code == 201
    shown = created.json()
    assert created.headers["location"] == f"/v1/endpoints/{shown['id']}"
    secret = shown.pop("secret")
    assert secret.startswith("whsec_")
    assert {name: shown[name] for name in wanted} == wanted
    assert shown["state"] == "enabled"
    listed = await gateway.client.get("/v1/endpoints")
    assert listed.json() == {"data": [shown]}
    assert secret not in listed.text
    foreign = {"authorization": f"Bearer {await gateway.key_of('other')}"}
    assert (await gateway.client.get("/v1/endpoints", headers=foreign)).json() == {"data": []}


async def test_every_unknown_event_type_is_named(gateway: Gateway) -> None:
    """By its place in the list."""
    body = {"url": "http://127.0.0.1:9/", "events": ["prediction.completed", "a.b", "c.d"]}
    problem = (await gateway.client.post("/v1/endpoints", json=body)).json()
    assert [error["field"] for error in problem["errors"]] == ["events.1", "events.2"]
    assert "'a.b'" in problem["errors"][0]["message"]


async def test_a_callback_that_is_not_allowed_is_a_422_here(gateway: Gateway) -> None:
    """The setting that decides is named."""
    answer = await gateway.client.post("/v1/endpoints", json={"url": "https://10.9.8.7/"})
    assert (answer.status_code, answer.json()["code"]) == (422, "callback_denied")
    assert "BREAKWATER_CALLBACK_ALLOW" in answer.json()["detail"]


async def test_the_native_face_asks_for_a_key(gateway: Gateway) -> None:
    """401 as a problem, with the scheme it wants."""
    answer = await gateway.client.get("/v1/endpoints", headers={"authorization": "Bearer no"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_each_tenant_has_a_callback_secret_of_its_own(gateway: Gateway, simulator: Running) -> None:
    """It is the gateway's, it stays the same, it is another tenant's never, and nothing on the way keeps it."""
    first, again = [await gateway.client.get("/api/v3/webhook/secret") for _ in range(2)]
    foreign = {"authorization": f"Bearer {await gateway.key_of('other')}"}
    other = await gateway.client.get("/api/v3/webhook/secret", headers=foreign)
    async with simulator.client() as upstream:
        theirs = await upstream.get("/api/v3/webhook/secret")
    secrets = [answer.json()["data"]["secret"] for answer in (first, again, other, theirs)]
    assert secrets[0] == secrets[1]
    assert len(set(secrets)) == 3
    assert first.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("given", ["req-1", "a.B:c_d-9", "x" * 100])
async def test_a_request_id_is_echoed(gateway: Gateway, given: str) -> None:
    """On good answers and bad ones."""
    for path in ("/livez", "/nowhere", "/api/v3/predictions/x"):
        answer = await gateway.client.get(path, headers={"x-request-id": given})
        assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", [b"", b"x" * 101, b"a b", b'a"b', b"a\tb", b"\xff", b"{}", None])
async def test_a_hostile_request_id_is_replaced(gateway: Gateway, given: bytes | None) -> None:
    """What would do harm in a log or a header gets an id of ours."""
    headers = [] if given is None else [(b"x-request-id", given)]
    answers = [await gateway.client.get("/livez", headers=headers) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(re.fullmatch(r"[0-9a-f]{32}", minted) for minted in ids)
    assert ids[0] != ids[1]


async def test_probes(gateway: Gateway) -> None:
    """Alive and ready, and the metrics in Prometheus' form."""
    for path in ("/livez", "/readyz"):
        assert (await gateway.client.get(path)).status_code == 200
    metrics = await gateway.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert 'breakwater_http_requests_total{method="GET",route="/livez",status="200"} 1.0' in metrics.text


async def test_not_ready_until_the_store_has_answered(redis_proxy: FaultProxy, simulator: Running) -> None:
    """Alive at once; ready when Redis answers; and ready still when it goes away later."""
    from service.app import create_app
    from service.resources import open_resources

    redis_proxy.refuse()
    async with open_resources(settings(redis_proxy.url, simulator.url)) as resources:
        app = create_app(resources)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway") as client,
        ):
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            await redis_proxy.listen()

            async def ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await wait_until(ready, what="readiness")
            redis_proxy.blackhole()
            assert await ready()
            redis_proxy.pass_through()


def series(exposition: str) -> set[str]:
    """Names and labels, without values."""
    return {line.rpartition(" ")[0] for line in exposition.splitlines() if not line.startswith("#")}


async def test_no_caller_can_add_a_series(gateway: Gateway) -> None:
    """A thousand paths, methods, ids, models and keys are told apart by route template and closed labels only."""
    chance = random.Random(7)  # noqa: S311 the same noise in every run

    def word(length: int = 12) -> str:
        return "".join(chance.choices(string.ascii_letters, k=length))

    async def one_of_each() -> None:
        await gateway.client.request(word().upper(), f"/{word()}/{word()}")
        await gateway.client.get(f"/{word()}")
        await gateway.client.get(f"/api/v3/predictions/{word(32)}/result")
        await gateway.client.get(f"/api/v3/predictions/{chance.randbytes(16).hex()}")
        await gateway.client.post(f"/api/v3/{word()}/{word()}", json={"prompt": word()})
        await gateway.client.get(f"/v1/endpoints?{word()}={word()}", headers={"authorization": f"Bearer bw_{word()}"})
        await gateway.client.request(word().upper(), f"/api/v3/{word()}")

    await one_of_each()
    before = series((await gateway.client.get("/metrics")).text)
    before = series((await gateway.client.get("/metrics")).text)
    for _ in range(145):
        await one_of_each()
    after = series((await gateway.client.get("/metrics")).text)
    assert after == before
    routes = set(re.findall(r'route="([^"]*)"', "\n".join(after)))
    templates = {getattr(route, "path", "") for route in gateway.app.routes}
    assert routes <= templates | {"unmatched"}
    assert "unmatched" in routes
    assert set(re.findall(r'method="([^"]*)"', "\n".join(after))) <= {"GET", "POST", "PUT", "PATCH", "DELETE", "other"}


@pytest.fixture(params=["refused", "silent"])
async def without_store(
    request: pytest.FixtureRequest, redis_proxy: FaultProxy, simulator: Running
) -> AsyncIterator[Gateway]:
    """A gateway that knows its tenant's key, and whose store has gone."""
    async with open_gateway(settings(redis_proxy.url, simulator.url)) as gateway:
        assert (await gateway.client.get("/v1/endpoints")).status_code == 200
        if request.param == "refused":
            redis_proxy.refuse()
            await redis_proxy.cut()
        else:
            redis_proxy.blackhole()
        yield gateway
        redis_proxy.pass_through()
        if request.param == "refused":
            await redis_proxy.listen()


async def test_without_the_store_nothing_is_accepted(without_store: Gateway, simulator: Running) -> None:
    """503 with Retry-After on both faces and for new keys too, within seconds; nothing goes upstream; still alive."""
    gateway = without_store
    stranger = {"authorization": f"Bearer {mint_api_key()}"}
    async with asyncio.timeout(8):
        answers = await asyncio.gather(
            gateway.submit(),
            gateway.client.get("/api/v3/predictions/" + "0" * 32),
            gateway.client.get("/v1/endpoints"),
            gateway.client.post("/v1/endpoints", json={"url": "http://127.0.0.1:9/"}),
            gateway.client.get("/v1/endpoints", headers=stranger),
        )
    assert [answer.status_code for answer in answers] == [503] * 5
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert answers[0].json()["code"] == 503
    assert (answers[2].json()["code"], answers[2].json()["retryable"]) == ("store_unavailable", True)
    assert posts_seen(simulator) == 0
    assert (await gateway.client.get("/livez")).status_code == 200


async def test_a_crash_shows_nothing_of_itself(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 in the face's form with the request id, and not a word of the exception."""

    async def crash(*_: object) -> None:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr(type(gateway.resources.endpoints), "list", crash)
    transport = httpx2.ASGITransport(gateway.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
        headers = {"authorization": f"Bearer {gateway.key}", "x-request-id": "req-9"}
        answer = await client.get("/v1/endpoints", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == "req-9"
    assert answer.json()["request_id"] == "req-9"
    assert "secret" not in answer.text


async def test_a_revoked_key_stops_within_the_cache_s_seconds(gateway: Gateway, redis: Redis) -> None:
    """Once the cached answer is forgotten, the key is unknown, and being unknown is remembered."""
    [key_id] = [name.decode() for name in await redis.hkeys("bw:tenant:acme:keys")]  # type: ignore[misc] # sync or async
    assert (await gateway.submit()).status_code == 200
    await gateway.resources.administer.revoke_key("acme", key_id)
    gateway.resources.authenticate.cache.clear()
    assert [(await gateway.submit(path=MODEL)).status_code for _ in range(2)] == [401, 401]
    assert len(gateway.resources.authenticate.cache) == 1
