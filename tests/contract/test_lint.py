"""`/openapi.json` as a gateway serves it pleases strict linters; needs Node and `npm ci` in this folder."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.journeys.system import System

HERE = Path(__file__).parent
REDOCLY = HERE / "node_modules" / ".bin" / "redocly"


async def test_the_served_description_is_clean(system: System, tmp_path: Path) -> None:
    """No error and no warning of the strictest set of rules, and valid to another judge too."""
    assert shutil.which("node"), "Node is not installed"
    assert REDOCLY.exists(), "run npm ci in tests/contract"
    await system.start_gateway(probe="livez")
    answer = await system.client.get("/openapi.json")
    assert list(OpenAPIV31SpecValidator(answer.json()).iter_errors()) == []
    served = tmp_path / "openapi.json"
    served.write_bytes(answer.content)
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    told = await asyncio.to_thread(
        subprocess.run,
        [str(REDOCLY), "lint", "--config", str(HERE / "redocly.yaml"), "--format", "json", str(served)],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert told.stdout, told.stderr
    found = json.loads(told.stdout)
    print("redocly:", found["totals"])  # noqa: T201
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, found["problems"]
    assert told.returncode == 0, told.stderr


async def test_the_served_page_needs_nothing_else(system: System) -> None:
    """`/docs` as a gateway serves it names nothing to load or run, its links stay on it, its policy forbids it."""
    await system.start_gateway(probe="livez")
    answer = await system.client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    places = re.findall(r"<[^>]*\s(?:src|srcset|href|action|data)\s*=\s*[\"']?([^\"'\s>]*)", answer.text)
    assert len(places) > 50
    assert [place for place in places if not place.startswith("#")] == []
    assert not re.search(r"<(?:script|link|img|iframe|object|embed|base)\b|url\(|@import", answer.text)
