"""LiteLLM's proxy as a pass-through, in an environment of its own, which is made once and kept.

Only on request: it brings over a hundred distributions, and takes a minute or two to install.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.ground import start_stub, submission, wait_ready
from benchmarks.measured import OURS, MeasuredPath, Target
from benchmarks.processes import Bench, drive, open_loop
from benchmarks.serving import start_gateway

VERSION: Final = "1.108.7"
NAME: Final = f"LiteLLM {VERSION} pass-through"
ENVIRONMENT: Final = Path(__file__).with_name(".venv")
INSTALL_WITHIN_S: Final = 600.0

RATE: Final = 30
"""Requests a second for the latencies: more than it takes would measure a queue."""

_KEY: Final = "sk-bench"

_CONFIGURATION: Final = """
model_list: []
general_settings:
  master_key: {key}
  pass_through_endpoints:
    - path: "/api/v3"
      target: "http://127.0.0.1:{upstream_port}/api/v3"
      include_subpath: true
      headers:
        Authorization: "Bearer secret"
        content-type: application/json
"""


def environment() -> Path:
    """The folder of its programs; installs it where it is not there yet. Raises `SystemExit` when that fails."""
    programs = ENVIRONMENT / "bin"
    if (programs / "litellm").exists():
        return programs
    print(f"Installing LiteLLM {VERSION} into {ENVIRONMENT} (once; a minute or two) ...", flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        command = [
            str(programs / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            f"litellm[proxy]=={VERSION}",
        ]
        subprocess.run(command, check=True, timeout=INSTALL_WITHIN_S)
    except (subprocess.SubprocessError, OSError) as failed:
        raise SystemExit(f"LiteLLM could not be installed: {failed}") from None
    return programs


def litellm(bench: Bench, redis_url: str) -> list[MeasuredPath]:
    """Submissions through LiteLLM's proxy, which passes them on with the key put in."""
    programs, stub_port, port = environment(), start_stub(bench), bench.port()
    ours = start_gateway(bench, redis_url, stub_port)
    file = bench.directory / "litellm.yaml"
    file.write_text(_CONFIGURATION.format(key=_KEY, upstream_port=stub_port))
    process = bench.run(
        [str(programs / "litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)],
        settings={"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"},
    )
    wait_ready(port, "/health/liveliness")
    open_loop(port, [submission(_KEY)], 1, 2)  # it loads much with its first request
    contestants = {
        OURS: drive(ours.process, ours.port, submission(ours.key), at_rate=RATE, connections=16),
        NAME: drive(process, port, submission(_KEY), at_rate=RATE, connections=16),
    }
    targets = (Target(10.0, NAME),)
    return [MeasuredPath("litellm", "submissions/s per core", NAME, contestants, targets, per_core=True, at_rate=RATE)]
