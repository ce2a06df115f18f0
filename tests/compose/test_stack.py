"""The stack as it runs. Grafana is left out: Debian does not have it, and nothing else stands in for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from tests.compose.configuration import RULES, read_yaml
from tests.compose.stack import BUILT, WORKERS, Stack
from tests.waiting import wait_until

Ask = Callable[..., Awaitable[Any]]
"""Asks a URL, with parameters by name, for JSON."""

JOBS = {"breakwater-gateway": 1, "breakwater-worker": WORKERS, "prometheus": 1, "alertmanager": 1}


@pytest.fixture
async def asking() -> AsyncIterator[Ask]:
    """Asks for JSON, over connections that are kept; the answer must be a success."""
    async with httpx2.AsyncClient(trust_env=False, timeout=10.0) as client:

        async def ask(url: str, **parameters: str) -> Any:
            answer = await client.get(url, params=parameters)
            assert answer.status_code == 200, answer.text
            return answer.json()

        yield ask


async def caller(stack: Stack, tenant: str) -> httpx2.AsyncClient:
    """A client with the key of a new tenant, both made by the commands that the README names."""
    await asyncio.to_thread(stack.execute, "gateway", "breakwater", "tenant", "create", tenant, "--json")
    made = await asyncio.to_thread(stack.execute, "gateway", "breakwater", "key", "create", tenant, "--json")
    key = json.loads(made)["key"]
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(base_url=stack.url("gateway"), headers=headers, trust_env=False, timeout=20.0)


async def video(client: httpx2.AsyncClient) -> str:
    """Submit one and wait until it is there; the prediction's id."""
    submitted = await client.post("/api/v3/openai/sora-2", json={"prompt": "a lighthouse [sim:duration=1]"})
    assert submitted.status_code == 200, submitted.text
    prediction: str = submitted.json()["data"]["id"]
    await wait_until(lambda: is_completed(client, prediction), timeout_s=30, what="the video is there")
    return prediction


async def is_completed(client: httpx2.AsyncClient, prediction: str) -> bool:
    """Whether a prediction has come to a good end."""
    answer = await client.get(f"/api/v3/predictions/{prediction}/result")
    assert answer.status_code == 200, answer.text
    status = answer.json()["data"]["status"]
    assert status in ("created", "processing", "completed")
    return bool(status == "completed")


async def test_a_video_goes_through(stack: Stack, asking: Ask) -> None:
    """A newcomer's first video: submitted through the published port, bought once, read back through the gateway."""
    async with await caller(stack, "newcomer") as client:
        prediction = await video(client)
        shown = (await client.get(f"/api/v3/predictions/{prediction}/result")).json()["data"]
        assert shown["urls"]["get"].startswith(stack.url("gateway"))
        content = await client.get(f"/v1/predictions/{prediction}/content/0")
        assert content.content[4:8] == b"ftyp"
    seen = await asking(f"{stack.url('simulator')}/_control/state")
    assert seen["paid_submissions"] == 1


async def test_an_alert_reaches_its_receiver(stack: Stack, asking: Ask) -> None:
    """One that pages is given to `page`, one that does not to `ticket`."""
    url = f"{stack.url('alertmanager')}/api/v2/alerts"
    async with httpx2.AsyncClient(trust_env=False) as client:
        raised = [{"labels": {"alertname": f"Test-{one}", "severity": one}} for one in ("page", "ticket")]
        assert (await client.post(url, json=raised)).status_code == 200

    async def received() -> dict[str, str]:
        return {
            one["labels"]["alertname"]: one["receivers"][0]["name"]
            for one in await asking(url)
            if one["labels"]["alertname"].startswith("Test-")
        }

    await wait_until(received, what="the alerts are there")
    assert await received() == {"Test-page": "page", "Test-ticket": "ticket"}


async def test_redis_is_what_breakwater_needs(stack: Stack) -> None:
    """Every write on disk before it is answered, nothing evicted, memory bounded; only its own network reaches it."""
    bounds = ("maxmemory-policy", "maxmemory", "hash-max-listpack-value")
    told = {
        name: stack.execute("redis", "redis-cli", "--raw", "config", "get", name).split()[1:]
        for name in ("appendonly", "appendfsync", "save", *bounds)
    }
    assert told == {
        "appendonly": ["yes"],
        "appendfsync": ["always"],
        "maxmemory-policy": ["noeviction"],
        "maxmemory": [str(512 * 1024**2)],
        "save": [],
        "hash-max-listpack-value": ["4096"],
    }
    networks = stack.container("redis")["NetworkSettings"]["Networks"]
    [address] = [network["IPAddress"] for network in networks.values()]
    reach = f"import socket; print(socket.socket().connect_ex(('{address}', 6379)) == 0)"
    assert stack.execute("worker", "python", "-c", reach).strip() == "True"
    blocked = f"import socket; s = socket.socket(); s.settimeout(2); print(s.connect_ex(('{address}', 6379)) == 0)"
    assert stack.execute("simulator", "python", "-c", blocked).strip() == "False"


async def test_every_container_is_held_back(stack: Stack) -> None:
    """As they run: no capability left, no way to more, a read-only root, a bound on memory."""
    containers = stack.containers()
    assert len(containers) == len(BUILT) + WORKERS - 1
    for container in containers:
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        status = stack.execute(service, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, service
        assert fields["NoNewPrivs"] == "1", service
        assert fields["Uid"].split()[0] != "0", service
        assert container["HostConfig"]["ReadonlyRootfs"], service
        assert 0 < container["HostConfig"]["Memory"] <= 1024**3, service


@pytest.mark.timeout(120)
async def test_what_was_promised_outlives_its_containers(stack: Stack) -> None:
    """Redis taken away and made anew from its volume knows every prediction, and the work goes on."""
    async with await caller(stack, "patient") as client:
        prediction = await video(client)
        before = stack.container("redis")["Id"]
        again = ("up", "--force-recreate", "--no-build", "--detach", "--wait", "--no-deps", "redis")
        await asyncio.to_thread(stack.compose, *again)
        assert stack.container("redis")["Id"] != before

        async def is_back() -> bool:
            return (await client.get(f"/api/v3/predictions/{prediction}/result")).status_code == 200

        # A name server that is slow to say that there is no such name holds up the look-ups that come after.
        await wait_until(is_back, timeout_s=60, what="the gateway has its Redis back")
        assert await is_completed(client, prediction)
        assert await video(client) != prediction


async def test_prometheus_sees_every_process(stack: Stack, asking: Ask) -> None:
    """All targets are up, each worker by itself; every rule of the chart is loaded, none fails; alerts have a way."""
    prometheus = stack.url("prometheus")

    async def seen() -> dict[str, int]:
        targets = (await asking(f"{prometheus}/api/v1/targets"))["data"]["activeTargets"]
        up = [target["labels"]["job"] for target in targets if target["health"] == "up"]
        assert [target["lastError"] for target in targets if target["health"] == "down"] == []
        return {job: up.count(job) for job in set(up)}

    async def all_seen() -> bool:
        return await seen() == JOBS

    await wait_until(all_seen, timeout_s=45, what="every target is up")

    written = [group["name"] for path in RULES.glob("*.yaml") for group in read_yaml(path)["groups"]]

    async def all_evaluated() -> bool:
        groups = (await asking(f"{prometheus}/api/v1/rules"))["data"]["groups"]
        assert {group["name"] for group in groups} == set(written)
        rules = [rule for group in groups for rule in group["rules"]]
        assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] == "err"] == []
        frequent = [rule for group in groups if group["interval"] <= 30 for rule in group["rules"]]
        assert len(frequent) > len(rules) / 2
        return {rule["health"] for rule in frequent} == {"ok"}

    await wait_until(all_evaluated, timeout_s=40, what="every rule of each half minute has been evaluated")
    told = (await asking(f"{prometheus}/api/v1/alertmanagers"))["data"]["activeAlertmanagers"]
    assert [one["url"] for one in told] == ["http://alertmanager:9093/api/v2/alerts"]
    build = (await asking(f"{prometheus}/api/v1/query", query="count(breakwater_build_info)"))["data"]["result"]
    assert build[0]["value"][1] == str(1 + WORKERS)
