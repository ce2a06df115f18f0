"""What gateway and worker expose after they have done real work is what `promtool check metrics` wants.

Needs promtool (Debian's package `prometheus`); without it this fails.
"""

import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.journeys.system import Receiver, System
from tests.waiting import wait_until


async def exposed(port: int) -> str:
    """What a process shows of itself."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return answer.text


def complaints(exposition: str) -> str:
    """What promtool has to say of it; nothing is good. Fails without promtool."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition, capture_output=True, text=True, timeout=30, check=False
    )
    return checked.stdout + checked.stderr if checked.returncode or checked.stderr else ""


def test_promtool_does_complain() -> None:
    """The check that follows can fail: a counter without its suffix is told of."""
    assert "should have" in complaints("# HELP breakwater_odd Odd.\n# TYPE breakwater_odd counter\nbreakwater_odd 1\n")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_exercised_processes_expose_what_promtool_accepts(tmp_path: Path, redis_url: str, workers: str) -> None:
    """After submissions, refusals, deliveries and a failed one: no complaint of one gateway, of two, or of a worker."""
    (tmp_path / "tmp").mkdir()
    settings = {"TMPDIR": str(tmp_path / "tmp"), "BREAKWATER_UPSTREAM_TIER": "bronze"}
    async with Receiver().running() as receiver, System(tmp_path, redis_url, **settings) as system:
        await system.start_simulator()
        await system.start_gateway("readyz", "--workers", workers)
        await system.start_worker()
        await system.create_tenant()
        refusing = {"url": f"{receiver.url}/no", "events": ["prediction.completed"]}
        receiver.answer = lambda callback: 500 if callback.path == "/no" else 204
        for endpoint in (refusing, {"url": f"{receiver.url}/yes"}):
            assert (await system.client.post("/v1/endpoints", json=endpoint)).status_code == 201
        first = await system.submit("a lighthouse")
        await system.submit("[sim:fail] a storm")
        assert (await system.client.post("/api/v3/openai/sora-2", json={})).status_code == 400
        assert (await system.client.request("PROPFIND", "/nowhere")).status_code == 404
        await system.ended(first["id"])
        await wait_until(lambda: {one.path for one in receiver.received} == {"/no", "/yes"}, what="both are called")
        gateway, worker = await exposed(system.gateway_port), await exposed(system.worker_port)
        assert complaints(gateway) == ""
        assert complaints(worker) == ""
        for name in ("breakwater_submissions_total{", "breakwater_http_requests_in_flight 0", "breakwater_redis_up 1"):
            assert name in gateway
        for name in (
            "breakwater_delivery_attempts_total{",
            "breakwater_redis_noeviction ",
            "process_cpu_seconds_total",
        ):
            assert name in worker
