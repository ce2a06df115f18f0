"""The rendered pods, started for real: a video goes through, and they end in the time they are given."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.chart.pods import Pods
from tests.chart.rendering import Helm, Object, environment, pod_specs
from tests.chart.variants import Variant
from tests.image.containers import IMAGE, ROOT, run
from tests.waiting import wait_until

PORT: Final = 8080
SECRET: Final = {
    "upstream-key": "sim-key",
    "encryption-key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
    "admin-token": "an-operator-s-token-0123",
}
OPERATOR: Final = {"Authorization": f"Bearer {SECRET['admin-token']}"}
VIDEO: Final = {"prompt": "A lighthouse in a storm"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def objects(helm: Helm) -> list[Object]:
    """What a developer's install renders to, with this machine's image; a Service's port is its pods'."""
    repository, _, tag = IMAGE.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "gateway": {"service": {"port": PORT}},
        "simulator": {"videoSeconds": 1},
        "settings": {"BREAKWATER_SHUTDOWN_GRACE_S": 3, "BREAKWATER_POLL_SCALE": 0.05},
    }
    objects = helm.objects(Variant(("values-dev.yaml",), values)) + _check(helm, values)
    await run(str(ROOT / "tests/image/build"))  # quick when nothing has changed
    try:
        await run(
            "podman", "image", "exists", pod_specs(objects)["Deployment/breakwater-redis"]["containers"][0]["image"]
        )
    except AssertionError:
        await run(str(ROOT / "tests/compose/build"))  # makes a stand-in of Redis' image
    return objects


def _check(helm: Helm, values: dict[str, Any]) -> list[Object]:
    """The check and its settings, which the chart has for a Redis and a WaveSpeed that are there before it."""
    values = {
        **values,
        "redis": {"embedded": {"enabled": False}, "url": "redis://breakwater-redis:6379/0"},
        "simulator": {"enabled": False},
        "settings": {**values["settings"], "BREAKWATER_UPSTREAM_URL": "http://breakwater-simulator:8081"},
        "networkPolicy": {"enabled": False},
        "check": {"enabled": True},
    }
    objects = helm.objects(Variant(("values-dev.yaml",), values))
    return [thing for thing in objects if thing["metadata"]["name"] == "breakwater-check"]


@pytest.fixture
async def pods(objects: list[Object], tmp_path: Path) -> AsyncIterator[Pods]:
    """Network and secrets, and no pod yet."""
    async with Pods(objects, SECRET, tmp_path) as pods:
        yield pods


async def _status(client: httpx2.AsyncClient, url: str) -> int:
    """The status of an answer; 0 when there is none."""
    try:
        return (await client.get(url, timeout=2.0)).status_code
    except httpx2.HTTPError:
        return 0


async def _answers(client: httpx2.AsyncClient, url: str, status: int) -> None:
    """Wait for an answer of that status."""

    async def asked() -> bool:
        return await _status(client, url) == status

    await wait_until(asked, timeout_s=60.0, what=f"{url} answers {status}")


async def _key(client: httpx2.AsyncClient, gateway: str) -> dict[str, str]:
    """A tenant's own key, as a header."""
    (await client.put(f"{gateway}/admin/v1/tenants/acme", json={"name": "Acme"}, headers=OPERATOR)).raise_for_status()
    made = await client.post(f"{gateway}/admin/v1/tenants/acme/keys", json={"name": "ci"}, headers=OPERATOR)
    return {"Authorization": f"Bearer {made.raise_for_status().json()['key']}"}


async def _submit(client: httpx2.AsyncClient, gateway: str, key: dict[str, str]) -> str:
    """Submit a video; its id."""
    answer = await client.post(f"{gateway}/api/v3/openai/sora-2", json=VIDEO, headers=key)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["id"])


async def _is_as_rendered(pods: Pods, objects: list[Object], workload: str) -> None:
    """The process has the rendered variables and arguments, and none of the rights that the spec takes away."""
    expected = {
        name: SECRET[value.removeprefix("secret:")] if value.startswith("secret:") else value
        for name, value in environment(objects, workload).items()
    }
    pairs = (await pods.inside(workload, "cat", "/proc/1/environ")).split("\0")
    found = dict(pair.split("=", 1) for pair in pairs if pair)
    assert {name: value for name, value in found.items() if name.startswith("BREAKWATER_")} == expected
    status = dict(line.split(":\t", 1) for line in (await pods.inside(workload, "cat", "/proc/1/status")).splitlines())
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert [status[name] for name in ("CapPrm", "CapEff", "CapBnd")] == ["0" * 16] * 3
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    writable = "for d in / /etc /opt/breakwater /tmp; do touch $d/x 2>/dev/null && echo $d; done; true"
    assert (await pods.inside(workload, "sh", "-c", writable)).split() == ["/tmp"]  # noqa: S108 # in the container


async def test_a_video_goes_through_the_rendered_pods(pods: Pods, objects: list[Object]) -> None:
    """From the templates to a finished video, by pods that start in any order, are restricted, and drain in time."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        await _starts_without_redis(pods, client)
        for workload in ("gateway", "worker"):
            await _is_as_rendered(pods, objects, workload)
        gateway = pods.url("gateway")
        key = await _key(client, gateway)
        await _is_completed(client, gateway, key, await _submit(client, gateway, key))
        assert "breakwater_looks_total" in (await client.get(f"{pods.url('worker')}/metrics")).text

        specs = pod_specs(objects)
        assert await pods.run_pod("test", specs["Pod/breakwater-test"]) == "200 ready\n"  # what `helm test` would run
        found = await pods.run_pod("check", specs["Job/breakwater-check"])  # what an upgrade would run first
        assert "0 problems" in found

        await _gateway_drains(pods, client, key)
        await _worker_drains(pods)


async def _starts_without_redis(pods: Pods, client: httpx2.AsyncClient) -> None:
    """Both live while Redis is not there, and are not ready; then they are."""
    await pods.start("simulator", "breakwater-simulator")
    await pods.start("gateway", "breakwater", published=True)
    await pods.start("worker", "breakwater-worker", published=True)
    for workload in ("gateway", "worker"):
        await _answers(client, pods.url(workload) + "/livez", 200)
        assert await _status(client, pods.url(workload) + "/readyz") == 503
    await pods.start("redis", "breakwater-redis")
    for workload in ("gateway", "worker"):
        await _answers(client, pods.url(workload) + "/readyz", 200)


async def _is_completed(client: httpx2.AsyncClient, gateway: str, key: dict[str, str], prediction: str) -> None:
    """The worker looks until the video is there."""
    seen: dict[str, Any] = {}

    async def ended() -> bool:
        answer = await client.get(f"{gateway}/api/v3/predictions/{prediction}/result", headers=key)
        seen.update(answer.json()["data"])
        return seen["status"] in ("completed", "failed")

    await wait_until(ended, timeout_s=60.0, what="the video is there")
    assert seen["status"] == "completed"
    assert seen["outputs"]
    assert seen["urls"]["get"].startswith(f"http://breakwater.videos.svc:{PORT}/")


async def _gateway_drains(pods: Pods, client: httpx2.AsyncClient, key: dict[str, str]) -> None:
    """After SIGTERM it is not ready but answers, submissions too; then it ends by itself, well within its time."""
    gateway = pods.url("gateway")
    begun = time.monotonic()
    stopping = asyncio.create_task(pods.stop("gateway"))
    await _answers(client, gateway + "/readyz", 503)
    assert await _submit(client, gateway, key)
    await stopping
    await _ended_by_itself(pods, "gateway", begun)


async def _worker_drains(pods: Pods) -> None:
    """It has no grace: it ends as soon as its work is done."""
    begun = time.monotonic()
    await pods.stop("worker")
    await _ended_by_itself(pods, "worker", begun)


async def _ended_by_itself(pods: Pods, workload: str, begun: float) -> None:
    """Nobody had to kill it."""
    took_s = time.monotonic() - begun
    allowed_s = pods.spec(workload)["terminationGracePeriodSeconds"]
    state = await pods.state(workload)
    assert state["Status"] == "exited"
    assert state["ExitCode"] == 0
    assert took_s < allowed_s
    print(f"{workload}: ended {took_s:.1f} s after SIGTERM, of {allowed_s} s it had")  # noqa: T201
