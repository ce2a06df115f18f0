"""The real clients of WaveSpeed, each a process of its own language that makes one call and tells what came of it."""

import asyncio
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.journeys.system import System

MODEL: Final = "openai/sora-2"
HERE: Final = Path(__file__).parent
CALL_S: Final = 40.0
"""Longest that one call may take, in seconds."""

_OPTIONS: Final = {"poll_interval": "pollInterval", "enable_sync_mode": "enableSyncMode"}
"""What npm's client calls options that PyPI's has under another name."""


@dataclass(frozen=True, slots=True)
class RealClient:
    """One published version: what it is called here, the version that is pinned, and how it names itself upstream."""

    name: str
    version: str
    says: Mapping[str, str]
    """The attribution headers it sends."""

    failure: str
    """The class of what it raises when a prediction failed."""

    refusal: str
    """The class of what it raises when a submission is refused."""

    timeout: str
    """The class of what it raises when its own wait is over."""

    @property
    def javascript(self) -> bool:
        """Whether it is npm's."""
        return self.name.startswith("npm")

    def command(self) -> list[str]:
        """What runs its driver; fails the test when it is not installed."""
        if self.javascript:
            node = shutil.which("node")
            assert node, "Node is not installed"
            assert (HERE / "node_modules" / "wavespeed").is_dir(), "run npm ci in tests/clients"
            return [node, str(HERE / "drive.cjs")]
        python = HERE / ".venv" / self.name / "bin" / "python"
        assert python.exists(), f"install {self.name}.lock into an environment at tests/clients/.venv/{self.name}"
        return [str(python), "-I", str(HERE / "drive.py")]


_SYSTEM: Final = {"x-client-os": platform.system().lower()}

CLIENTS: Final = (
    RealClient(
        "python-current",
        "2.0.5",
        _SYSTEM | {"x-client-name": "wavespeed-python", "x-client-version": "2.0.5"},
        "_TaskFailedError",
        "_SubmissionError",
        "TimeoutError",
    ),
    RealClient("python-1.0.8", "1.0.8", {}, "RuntimeError", "RuntimeError", "TimeoutError"),
    RealClient(
        "npm-current",
        "0.3.2",
        _SYSTEM | {"x-client-name": "wavespeed-js", "x-client-version": "0.3.2"},
        "Error",
        "WavespeedSubmissionException",
        "Error",
    ),
)
"""Every client that is installed and driven."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call: a value or an error, and what the client printed meanwhile."""

    returned: Any
    error: str
    """The class of what was raised; empty when nothing was."""

    text: str
    """Its text."""

    seconds: float
    printed: str

    @property
    def outputs(self) -> list[str]:
        """The outputs returned; nothing may have gone wrong on the way, not even for a moment."""
        assert (self.error, self.text, self.printed) == ("", "", "")
        outputs: list[str] = self.returned["outputs"]
        return outputs


@dataclass(frozen=True, slots=True)
class Case:
    """One client before the running system, with a tenant of its own."""

    system: System
    client: RealClient
    tenant: str
    key: str
    paid_before: int
    posts_before: int

    async def call(self, do: str, *, key: str | None = None, **call: Any) -> Outcome:
        """Make one call with the tenant's key, or another, in a process of its own."""
        if self.client.javascript and "options" in call:
            call["options"] = {_OPTIONS.get(name, name): value for name, value in call["options"].items()}
        arguments = [self.system.gateway_url, self.key if key is None else key, json.dumps({"do": do, **call})]
        process = await asyncio.create_subprocess_exec(
            *self.client.command(),
            *arguments,
            env={"PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(CALL_S):
                shown, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, shown.decode()
        printed, _, last = shown.decode().rstrip().rpartition("\n")
        outcome = json.loads(last)
        assert outcome["version"] == self.client.version
        error = outcome["error"] or {"class": "", "text": ""}
        return Outcome(outcome["returned"], error["class"], error["text"], outcome["seconds"], printed.strip())

    async def run(self, prompt: str, **options: Any) -> Outcome:
        """The client's own `run`, from prompt to outputs."""
        return await self.call("run", model=MODEL, input={"prompt": prompt}, options=options)

    async def result(self, prediction_id: str) -> dict[str, Any]:
        """What the gateway knows of a prediction of this tenant."""
        answer = await self.system.client.get(
            f"/api/v3/predictions/{prediction_id}/result", headers={"authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def charged(self) -> int:
        """How many submissions WaveSpeed was paid for since the test began; none of them may have been posted twice."""
        seen = await self.system.seen_upstream()
        paid: int = seen["paid_submissions"] - self.paid_before
        assert seen["requests"].get("submit", 0) - self.posts_before == paid
        return paid

    async def task(self) -> dict[str, Any]:
        """The newest run upstream."""
        newest: dict[str, Any] = (await self.system.seen_upstream())["submissions"][-1]
        return newest
