"""How long our commands take to be there, and how much is installed and loaded for them."""

import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import httpx2
from packaging.requirements import Requirement

from benchmarks.ground import process_settings, start_stub
from benchmarks.measured import OURS, Figure, MeasuredPath, Round, Target
from benchmarks.processes import Bench

LARGEST: Final = 10
"""How many of the installed distributions are listed."""

ALL_OF_THEM: Final = "all that breakwater needs"

_READY_WITHIN_S: Final = 20.0
_IMPORTED: Final = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def startup(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Seconds until the gateway and the worker are ready and `--help` is shown; times of imports; sizes."""
    stub_port = start_stub(bench)
    ready = {
        OURS: _until_ready(bench, redis_url, stub_port, "service", "serve"),
        "breakwater serve --workers 2": _until_ready(bench, redis_url, stub_port, "service", "serve", "--workers", "2"),
        "breakwater worker": _until_ready(bench, redis_url, stub_port, "service", "worker"),
    }
    commands = {
        OURS: _command("breakwater", "--help"),
        "breakwater serve --help": _command("breakwater", "serve", "--help"),
        "python -c pass": _command("python", "-c", "pass"),
    }
    imports = {
        OURS: _imported("service.gateway"),
        "worker.app": _imported("worker.app"),
        "starlette.applications": _imported("starlette.applications"),
    }
    sizes = installed_mb("breakwater")
    largest = sorted(sizes.items(), key=lambda one: -one[1])[:LARGEST]
    listed: dict[str, Round] = {ALL_OF_THEM: _known(sum(sizes.values()))}
    listed |= {name: _known(size) for name, size in largest}
    return [
        MeasuredPath("ready", "s to /readyz", "", ready, (Target(1.5, less=True, by="value"),)),
        MeasuredPath("help", "s for breakwater --help", "", commands, (Target(0.3, less=True, by="value"),)),
        MeasuredPath("imports", "s to import service.gateway", "", imports),
        MeasuredPath("installed", "MB installed", ALL_OF_THEM, listed, rounds=1, notes=(image_size(),)),
    ]


def _known(value: float) -> Round:
    """A figure that is known without measuring."""
    return lambda _: Figure(value)


def _until_ready(bench: Bench, redis_url: str, stub_port: int, *command: str) -> Round:
    """Start it, wait for `/readyz`, end it."""

    def run(_: float) -> Figure:
        port, metrics_port = bench.port(), bench.port()
        environment = process_settings(redis_url, stub_port, port, metrics_port)
        asked = metrics_port if "worker" in command else port
        started = time.perf_counter()
        process = bench.run([sys.executable, "-m", *command], settings=environment)
        while not _is_ready(asked):
            if time.perf_counter() - started > _READY_WITHIN_S:
                raise SystemExit(f"{' '.join(command)} was not ready within {_READY_WITHIN_S:g} s")
            time.sleep(0.01)
        took_s = time.perf_counter() - started
        process.terminate()
        process.wait(20)
        return Figure(took_s)

    return run


def _is_ready(port: int) -> bool:
    """Whether it says so."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=1.0).status_code == 200
    except httpx2.HTTPError:
        return False


def _command(name: str, *arguments: str) -> Round:
    """How long a command of this environment takes."""
    program = str(Path(sys.executable).with_name(name))

    def run(_: float) -> Figure:
        started = time.perf_counter()
        subprocess.run([program, *arguments], stdout=subprocess.DEVNULL, check=True)
        return Figure(time.perf_counter() - started)

    return run


def _imported(module: str) -> Round:
    """How long an import takes in a new interpreter."""

    def run(_: float) -> Figure:
        output = subprocess.run(
            [sys.executable, "-c", _IMPORTED.format(module)], stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        return Figure(float(output))

    return run


def installed_mb(name: str) -> dict[str, float]:
    """The MB of each distribution that this one needs, however deep, without its extras."""
    sizes: dict[str, float] = {}
    open_names = [name]
    while open_names:
        one = open_names.pop().lower().replace("_", "-")
        if one in sizes:
            continue
        try:
            found = distribution(one)
        except PackageNotFoundError:  # not for this platform
            continue
        files = (Path(str(file.locate())) for file in found.files or [])
        sizes[one] = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
        for text in found.requires or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                open_names.append(wanted.name)
    del sizes[name]
    return sizes


def image_size() -> str:
    """The size of the image where one was built on this machine, else how to have it told."""
    told = "podman image inspect --format '{{.Size}}' breakwater"
    for engine in ("podman", "docker"):
        try:
            output = subprocess.run(
                [engine, "images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}"],
                capture_output=True,
                text=True,
                check=True,
                timeout=20,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        if found := [line for line in output.splitlines() if "breakwater" in line]:
            return f"Image: {'; '.join(found)}."
    return f"No image of breakwater is on this machine; where one is, this prints its size: `{told}`."
