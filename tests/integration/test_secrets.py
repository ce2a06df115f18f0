"""Canaries go through a whole run; where they may not be, they are not."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from redis.asyncio import Redis

from tests.journeys import system as journeys
from tests.journeys.system import Receiver, System
from tests.waiting import wait_until

UPSTREAM_KEY: Final = "sk-canary-upstream-4e1f0a"
ENCRYPTION_KEY: Final = urlsafe_b64encode(b"canary-encryption-key-0123456789").decode()
PROMPT: Final = "canary prompt of a heron at dusk 7b3c"
TOKEN: Final = "canary-callback-token-91d2"


async def dump(redis: Redis) -> bytes:
    """Every key with everything in it."""
    found: list[bytes] = []
    async for key in redis.scan_iter(count=1000):
        kind = await redis.type(key)
        value: Any
        match kind:
            case b"string":
                value = await redis.get(key)
            case b"hash":
                value = await redis.hgetall(key)  # type: ignore[misc] # sync or async
            case b"list":
                value = await redis.lrange(key, 0, -1)  # type: ignore[misc] # sync or async
            case b"set":
                value = await redis.smembers(key)  # type: ignore[misc] # sync or async
            case b"zset":
                value = await redis.zrange(key, 0, -1, withscores=True)
            case b"stream":
                value = [part for _, fields in await redis.xrange(key) for pair in fields.items() for part in pair]
            case _:
                raise AssertionError(f"{key!r} is a {kind!r}")
        parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        texts = [parts] if isinstance(parts, bytes) else [p[0] if isinstance(p, tuple) else p for p in parts]
        found += [key, *texts]
    return b"\n".join(found)


def forms(secret: str) -> list[bytes]:
    """How a secret might be written: as it is, without its prefix, encoded."""
    bare = secret.removeprefix("whsec_").removeprefix("bw_")
    return [secret.encode(), bare.encode(), b64encode(secret.encode()), quote(secret, safe="").encode()]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running callback receiver."""
    async with Receiver().running() as receiver:
        yield receiver


async def test_no_secret_is_written_anywhere(
    tmp_path: Path, redis_url: str, redis: Redis, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in logs, metrics, answers, callbacks or the store; and a prompt in no log and no metric.

    The run has a success, a failure, refusals of every kind, a callback that is refused first, and lines at `debug`.
    """
    monkeypatch.setattr(journeys, "SECRET_KEY", UPSTREAM_KEY)
    answers: list[bytes] = []

    async def keep(answer: httpx2.Response) -> None:
        answers.append(repr(answer.headers).encode() + await answer.aread())

    settings = {"WAVESPEED_API_KEY": UPSTREAM_KEY, "BREAKWATER_ENCRYPTION_KEY": ENCRYPTION_KEY}
    async with System(tmp_path, redis_url, BREAKWATER_LOG_LEVEL="debug", **settings) as system:
        await system.start()
        created = await system.client.post("/v1/endpoints", json={"url": f"{receiver.url}/events?token={TOKEN}"})
        endpoint_secret: str = created.json()["secret"]
        callback_secret: str = (await system.client.get("/api/v3/webhook/secret")).json()["data"]["secret"]
        system.client.event_hooks["response"] = [keep]
        receiver.answer = lambda _: 500 if len(receiver.received) <= 2 else 204

        own = f"{receiver.url}/own?token={TOKEN}"
        done = await system.submit(PROMPT, webhook=own)
        failed = await system.submit(f"[sim:fail] {PROMPT}")
        unknown = await system.submit(f"[sim:submit=500] {PROMPT}")
        post = system.client.post
        for fault in ("400", "401", "429"):
            await post("/api/v3/openai/sora-2", json={"prompt": f"[sim:submit={fault}] {PROMPT}"})
        await post("/api/v3/openai/sora-2", json={"prompt": [PROMPT], "aspect_ratio": PROMPT, "image": {"a": PROMPT}})
        await post("/api/v3/openai/sora-2", content=f'{{"prompt": "{PROMPT}'.encode())
        await post(f"/api/v3/openai/{PROMPT}", json={"prompt": PROMPT})
        await post("/api/v3/openai/sora-2", json={"prompt": PROMPT}, params={"webhook": f"https://10.1.1.1/{TOKEN}"})
        await post("/v1/endpoints", json={"url": f"https://10.1.1.1/{TOKEN}", "description": PROMPT})
        wrong = {"authorization": f"Bearer {system.key[:-1]}!"}
        await system.client.get("/v1/endpoints", headers=wrong)
        await system.client.get("/v1/endpoints")
        for prediction, status in ((done, "completed"), (failed, "failed")):
            assert (await system.ended(prediction["id"]))["status"] == status
        assert (await system.result(unknown["id"]))["status"] == "created"

        def told() -> bool:
            bodies = b"".join(callback.body for callback in receiver.received)
            kinds = b"prediction.completed" in bodies and b"prediction.failed" in bodies
            return kinds and any(c.path == "/own" for c in receiver.received) and len(receiver.received) >= 5

        await wait_until(told, what="both kinds of callback")
        metrics = [
            (await system.upstream.get(f"http://127.0.0.1:{port}/metrics")).content
            for port in (system.gateway_port, system.worker_port)
        ]
        store = await dump(redis)
        key = system.key

    logs = [(tmp_path / f"{name}.log").read_bytes() for name in ("gateway", "worker")]
    callbacks = [c.body + repr(c.headers).encode() for c in receiver.received]
    places = {
        "gateway log": logs[0],
        "worker log": logs[1],
        "gateway metrics": metrics[0],
        "worker metrics": metrics[1],
    }
    places |= {"answers": b"\n".join(answers), "callbacks": b"\n".join(callbacks), "store": store}
    assert all(len(content) > 100 for content in places.values())
    assert PROMPT.encode() in store
    assert b"request refused" in places["gateway log"]

    canaries = {
        "upstream key": UPSTREAM_KEY,
        "encryption key": ENCRYPTION_KEY,
        "tenant key": key,
        "endpoint secret": endpoint_secret,
        "callback secret": callback_secret,
    }
    assert [
        (name, where)
        for name, secret in canaries.items()
        for where, content in places.items()
        if any(form in content for form in forms(secret))
    ] == []
    quiet = {where: content for where, content in places.items() if "log" in where or "metrics" in where}
    assert [where for where, content in quiet.items() if PROMPT.encode() in content] == []
    assert [where for where, content in quiet.items() if TOKEN.encode() in content] == []
