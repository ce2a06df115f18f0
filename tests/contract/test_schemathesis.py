"""The running system does what its description says, whatever it is asked: judged by schemathesis, from outside."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Final

import httpx2
import pytest

from service.domain.callback_ids import CallbackIds
from service.domain.tenant_spec import read_spec
from tests.contract.conftest import ADMIN_TOKEN, SIGNING_KEY
from tests.journeys.system import SECRET_KEY, Receiver, System

HERE: Final = Path(__file__).parent
ST: Final = HERE / ".venv" / "bin" / "st"
TENANT: Final = "contract"
LEAST_CASES: Final = 1_000
EXAMPLES: Final = int(os.environ.get("CONTRACT_EXAMPLES", "50"))
"""Generated requests an operation, in each phase that generates."""

WITHIN_S: Final = 420.0

GENEROUS: Final = {"rate_per_minute": 1_000_000, "concurrency": 100_000, "budget_usd": "1000000.00"}
"""Limits that are shown in every answer and refuse nothing."""

UNREACHED: Final = frozenset({"openapi"})
"""What is not asked for by a test case: the description itself, which is read before."""

VIDEO_S: Final = "1.5"
"""Long enough for a prediction to be canceled, short enough for many to end."""


async def key_ids(system: System) -> list[str]:
    """Some keys of a tenant that nobody calls as."""
    async with system.resources() as resources:
        await resources.administer.create_tenant("keys")
        return [(await resources.administer.create_key("keys", f"key {n}"))[0].id for n in range(5)]


async def upstream_secret(system: System) -> str:
    """What WaveSpeed signs its callbacks with."""
    headers = {"authorization": f"Bearer {SECRET_KEY}"}
    answer = await system.upstream.get("/api/v3/webhook/secret", headers=headers)
    secret: str = answer.json()["data"]["secret"]
    return secret


async def operations(client: httpx2.AsyncClient) -> dict[str, str]:
    """Every operation that is described: its id, and method and path."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    return {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, item in paths.items()
        for method, operation in item.items()
    }


@pytest.mark.timeout(WITHIN_S + 90)
async def test_it_does_what_it_says(system: System, receiver: Receiver, tmp_path: Path) -> None:
    """Examples, edges, random requests and chains of them, good and bad: nothing found, and every operation reached."""
    assert ST.exists(), "tests/contract/.venv is missing: .ci/run makes it from tests/contract/requirements.lock"
    seed = os.environ.get("HYPOTHESIS_SEED", "1")
    await asyncio.gather(system.start_simulator("--video-s", VIDEO_S), system.start_gateway(), system.start_worker())
    key = await system.create_tenant(TENANT, read_spec({"limits": GENEROUS}))
    called_back = (await system.submit("a wave"))["id"]
    calls = tmp_path / "calls.jsonl"
    calls.touch()
    process = await asyncio.create_subprocess_exec(
        *(str(ST), "--no-color", "--config-file", str(HERE / "schemathesis.toml"), "run"),
        *(f"{system.gateway_url}/openapi.json", "--seed", seed, "-n", str(EXAMPLES), "--request-timeout", "20"),
        cwd=tmp_path,  # it leaves files where it is run
        env={
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "PYTHONPATH": str(HERE.parent.parent),
            "SCHEMATHESIS_HOOKS": "tests.contract.judging",
            "CONTRACT_KEY": key,
            "CONTRACT_ADMIN_TOKEN": ADMIN_TOKEN,
            "CONTRACT_TENANT": TENANT,
            "CONTRACT_RECEIVER": receiver.url,
            "CONTRACT_SIGNED_ID": CallbackIds([SIGNING_KEY]).sign(called_back),
            "CONTRACT_UPSTREAM_SECRET": await upstream_secret(system),
            "CONTRACT_KEY_IDS": " ".join(await key_ids(system)),
            "CONTRACT_CALLS": str(calls),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = (told or b"").decode()
    assert process.returncode == 0, report
    for name in ("gateway", "worker"):
        assert "Traceback" not in (tmp_path / f"{name}.log").read_text(), f"the {name} met an error it does not know"
    made = [json.loads(line) for line in calls.read_text().splitlines()]
    print(report[report.find("API Operations:") :])  # noqa: T201
    statuses = sorted(Counter(call["status"] for call in made).items())
    print(f"{len(made)} cases, seed {seed}; answers:", *(f"{n} x {status}" for status, n in statuses))  # noqa: T201
    assert len(made) >= LEAST_CASES
    reached = {call["operation"] for call in made if call["status"] < 400 or call["status"] == 409}
    described = await operations(system.client)
    missed = {told for operation, told in described.items() if operation not in reached | UNREACHED}
    assert not missed, f"no request came through to: {sorted(missed)}"
