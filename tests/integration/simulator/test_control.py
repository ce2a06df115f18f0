"""What drives a simulator: its control routes, which tell a wrong body what is wrong."""

from typing import Any

import httpx2
import pytest

from tests.integration.simulator.running import KEY, MODEL, Running
from tests.integration.simulator.test_routes import result, submit


@pytest.mark.parametrize(
    ("method", "route", "body", "named"),
    [
        ("POST", "faults", {"operation": "submit"}, "fault"),
        ("POST", "faults", {"operation": "dance", "fault": "hang"}, "operation"),
        ("POST", "faults", {"operation": "submit", "fault": "explode"}, "fault"),
        ("POST", "faults", {"operation": "submit", "fault": "status", "status": 200}, "status"),
        ("POST", "faults", {"operation": "submit", "fault": "status", "times": 0}, "times"),
        ("POST", "faults", {"operation": "submit", "fault": "delay", "seconds": -1}, "seconds"),
        ("POST", "faults", {"operation": "submit", "fault": "hang", "typo": 1}, "typo"),
        ("POST", "finish", {}, "either id or all"),
        ("POST", "finish", {"id": "x", "all": True}, "either id or all"),
        ("POST", "finish", {"all": True, "status": "processing"}, "status"),
        ("PUT", "tier", {"tier": "wood"}, "tier"),
        ("PUT", "tier", [], "object"),
        ("PUT", "keys", {"keys": []}, "keys"),
    ],
)
async def test_a_wrong_body_is_told_what_is_wrong(
    client: httpx2.AsyncClient, method: str, route: str, body: Any, named: str
) -> None:
    """A 400 that names the field; nothing is armed by it."""
    answer = await client.request(method, f"/_control/{route}", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["message"]
    assert (await client.get("/api/v3/balance")).status_code == 200


async def test_it_shows_what_it_saw(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Every submission with its headers, query and input; calls by operation; what was paid."""
    headers = {"x-client-name": "demo"}
    await client.post(f"/api/v3/{MODEL}?a=b", json={"prompt": "seen", "seed": 1}, headers=headers)
    await client.get("/api/v3/balance")
    seen = simulator.seen()
    assert (seen["paid_submissions"], seen["running"], seen["refused"]) == (1, 1, {})
    assert seen["requests"] == {"submit": 1, "balance": 1}
    [task] = seen["submissions"]
    assert (task["input"], task["query"], task["webhook"]) == ({"prompt": "seen", "seed": 1}, "a=b", "")
    assert (task["headers"]["x-client-name"], task["headers"]["authorization"]) == ("demo", f"Bearer {KEY}")
    assert (task["model"], task["price"], task["status"], task["reads"]) == (MODEL, 0.4, "created", 0)


async def test_keys_are_changed(client: httpx2.AsyncClient, simulator: Running) -> None:
    """The account accepts the keys it is given, and no others; a reset brings the first ones back."""
    simulator.control("PUT", "keys", keys=["another", "a-third"])
    assert (await client.get("/api/v3/balance")).status_code == 401
    async with simulator.client("a-third") as third:
        assert (await third.get("/api/v3/balance")).status_code == 200
    simulator.reset()
    assert (await client.get("/api/v3/balance")).status_code == 200


async def test_runs_are_ended_by_hand(client: httpx2.AsyncClient, simulator: Running) -> None:
    """One, or all that still go; what has ended stays as it was."""
    first, second, third = [(await submit(client))["id"] for _ in range(3)]
    assert simulator.control("POST", "finish", id=first, status="failed") == {"finished": 1}
    assert simulator.control("POST", "finish", id=first) == {"finished": 0}
    assert simulator.control("POST", "finish", all=True) == {"finished": 2}
    statuses = [(await result(client, task_id))["status"] for task_id in (first, second, third)]
    assert statuses == ["failed", "completed", "completed"]


async def test_a_reset_is_a_fresh_start(client: httpx2.AsyncClient, simulator: Running) -> None:
    """Runs, payments, tier and armed faults are forgotten, and the ids begin again."""
    first = await submit(client)
    simulator.control("PUT", "tier", tier="bronze")
    simulator.arm("balance", "status")
    simulator.control("POST", "reset")
    seen = simulator.seen()
    assert (seen["paid_submissions"], seen["tier"], seen["submissions"]) == (0, "ultra", [])
    assert (await client.get("/api/v3/balance")).json()["data"]["balance"] == 1000.0
    assert (await submit(client))["id"] == first["id"]
