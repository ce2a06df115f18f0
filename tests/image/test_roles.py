"""Every role runs from the one image: nothing to write to but /tmp, no privileges, 256 MB."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.image.containers import Containers
from tests.journeys.system import SECRET_KEY, free_port
from tests.waiting import wait_until

WHAT_IT_MAY = """
import os
folders = (f for f, _, _ in os.walk("/") if not f.startswith(("/proc", "/sys", "/dev")))
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(os.getuid(), os.getgid(), [f for f in folders if os.access(f, os.W_OK)], end=" ")
print(int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"])
"""

GATEWAY, WORKER, SIMULATOR = free_port(), free_port(), free_port()


@pytest.fixture
async def containers(image: str, redis_url: str) -> AsyncIterator[Containers]:
    """Containers that use a real Redis of the tests, and each other, on this machine."""
    async with Containers(
        BREAKWATER_HOST="127.0.0.1",
        BREAKWATER_PORT=str(GATEWAY),
        BREAKWATER_WORKER_METRICS_PORT=str(WORKER),
        BREAKWATER_REDIS_URL=redis_url,
        BREAKWATER_UPSTREAM_URL=f"http://127.0.0.1:{SIMULATOR}",
        WAVESPEED_API_KEY=SECRET_KEY,
        BREAKWATER_ENCRYPTION_KEY=urlsafe_b64encode(b"k" * 32).decode(),
        BREAKWATER_POLL_SCALE="0.01",
        BREAKWATER_SHUTDOWN_GRACE_S="0",
    ) as containers:
        yield containers


async def answers(client: httpx2.AsyncClient, url: str) -> bool:
    """Whether a probe is green by now."""
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


async def test_a_video_goes_through(containers: Containers) -> None:
    """Gateway, worker, simulator and command line, each in a container; then each ends within its drain, status 0."""
    simulator = await containers.start("simulate", "--port", str(SIMULATOR), "--key", SECRET_KEY, "--video-s", "0.5")
    gateway, worker = await asyncio.gather(containers.start(), containers.start("worker"))
    async with httpx2.AsyncClient(trust_env=False, timeout=20.0) as client:
        for port in (GATEWAY, WORKER):
            url = f"http://127.0.0.1:{port}/readyz"
            await wait_until(lambda url=url: answers(client, url), timeout_s=20, what=f"{url} is green")  # type: ignore[misc]
        await containers.command("tenant", "create", "acme", "--json")
        key = json.loads(await containers.command("key", "create", "acme", "--json"))["key"]
        client.headers["authorization"] = f"Bearer {key}"
        submitted = await client.post(
            f"http://127.0.0.1:{GATEWAY}/api/v3/openai/sora-2", json={"prompt": "a lighthouse"}
        )
        assert submitted.status_code == 200, submitted.text
        result = submitted.json()["data"]["urls"]["get"]

        async def video() -> list[str]:
            data = (await client.get(result)).json()["data"]
            assert data["status"] in ("created", "processing", "completed")
            outputs: list[str] = data["outputs"]
            return outputs

        outputs = await wait_until(video, timeout_s=20, what="the video is there")
        assert (await client.get(outputs[0])).content[4:8] == b"ftyp"
        docs = await client.get(f"http://127.0.0.1:{GATEWAY}/docs")
        assert "<style>" in docs.text

    statuses = await asyncio.gather(containers.stop(gateway), containers.stop(worker))
    assert set(statuses) == {0}
    for container in (gateway, worker):
        lines = [json.loads(line) for line in (await containers.logs(container)).splitlines()]
        assert lines
        assert not [line for line in lines if line["level"] in ("warning", "error", "critical")]
    assert (await containers.state(simulator))["Running"]


async def test_nothing_can_be_written_or_done(containers: Containers) -> None:
    """In such a container only /tmp takes a file; no capability, no new privilege, no root."""
    told = await containers.command("-c", WHAT_IT_MAY, entrypoint="python")
    assert told.strip() == "10001 10001 ['/tmp'] 0 0 1"


async def test_help_tells_every_command(containers: Containers) -> None:
    """`--help` needs no setting, and a role that cannot start says in one line which setting it lacks."""
    told = await containers.command("--help")
    assert all(f"  {name} " in told for name in ("serve", "worker", "simulate", "tenant", "key", "delivery"))
    async with Containers() as bare:
        container = await bare.start()
        await wait_until(lambda: ended(bare, container), what="the gateway gives up")
        assert (await bare.state(container))["ExitCode"] == 1
        [line] = (await bare.logs(container)).splitlines()
        assert "BREAKWATER_ENCRYPTION_KEY: is required" in line


async def ended(containers: Containers, container: str) -> bool:
    """Whether a container has exited."""
    status: str = (await containers.state(container))["Status"]
    return status == "exited"
