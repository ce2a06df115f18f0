"""Containers of the image, started the way an orchestrator would: nothing to write to, nothing they may do."""

import asyncio
import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
IMAGE: Final = "localhost/breakwater:ci"

RESTRICTED: Final = (
    "--network=host",
    "--read-only",
    "--read-only-tmpfs=false",  # podman's own extra places to write to, which no orchestrator gives
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=256m",
)


def container_environment() -> dict[str, str]:
    """What podman and buildah need on this machine: written by `tests/image/build`."""
    return {**os.environ, "CONTAINERS_CONF": str(ROOT / "build" / "containers.conf")}


async def run(*command: str, stdin: bytes = b"") -> str:
    """Run a command to its end and return what it prints; fails the test with what it says if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=container_environment(),
        cwd=ROOT,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode == 0, f"{' '.join(command)}: {process.returncode}\n{out.decode()}\n{err.decode()}"
    return out.decode()


async def inspect() -> dict[str, Any]:
    """What an engine knows of the image."""
    [image] = json.loads(await run("podman", "image", "inspect", IMAGE))
    found: dict[str, Any] = image
    return found


class Containers:
    """Restricted containers of the image, with one environment; what still runs at the end is removed."""

    def __init__(self, **environment: str) -> None:
        self._options = [*RESTRICTED, *(f"--env={name}={value}" for name, value in environment.items())]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Containers":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def command(self, *arguments: str, entrypoint: str = "breakwater") -> str:
        """Run one command in a container of its own and return what it prints."""
        return await run("podman", "run", "--rm", f"--entrypoint={entrypoint}", *self._options, IMAGE, *arguments)

    async def start(self, *arguments: str) -> str:
        """Start a container that stays, by what is said after the image's name; returns its id."""
        container = (await run("podman", "run", "--detach", *self._options, IMAGE, *arguments)).strip()
        self._stack.push_async_callback(run, "podman", "rm", "--force", "--time=1", container)
        return container

    async def state(self, container: str) -> dict[str, Any]:
        """How a container is doing."""
        found: dict[str, Any] = json.loads(await run("podman", "inspect", "--format={{json .State}}", container))
        return found

    async def logs(self, container: str) -> str:
        """What a container has written, on either stream."""
        return await run("bash", "-c", 'podman logs "$0" 2>&1', container)

    async def stop(self, container: str) -> int:
        """End a container as an orchestrator does, with the image's own signal; returns its exit status."""
        await run("podman", "stop", "--time=30", container)
        return int((await self.state(container))["ExitCode"])
