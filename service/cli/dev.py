"""`breakwater dev`: the whole system on this machine, and one video going through it before your eyes."""

import asyncio
import os
import queue
import signal
import tempfile
import time
from base64 import urlsafe_b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
import httpx2
from rich.console import Console
from rich.markup import escape

from service.cli.local_system import (
    LocalProcess,
    LocalSystem,
    LocalSystemFailed,
    child_environment,
    free_port,
    port_is_free,
    wait_for_url,
)
from service.cli.operator import settings_or_exit
from service.domain.errors import AlreadyExists, BreakwaterError
from service.domain.json_forms import json_bytes
from service.domain.money import dollars
from service.domain.tenant_spec import TenantSpec
from service.embedded_redis import embedded_server
from service.resources import open_resources, read_models
from service.settings import Settings

MODEL: Final = "openai/sora-2"
PROMPT: Final = "A lighthouse in a storm, waves breaking on the rocks, slow aerial shot"
TENANT: Final = "demo"
SIMULATOR_KEY: Final = "simulator-key"
SIMULATOR_PORT: Final = 8081
RECEIVER_PORT: Final = 8082
CALLBACK_WITHIN_S: Final = 60.0
POLL_SCALE: Final = "0.1"
"""Looks ten times as often as in production: the simulator's videos take seconds, not minutes."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a polite kill, and a terminal that is closed."""

console: Final = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the running system is known by."""

    settings: Settings
    key: str
    receiver: LocalProcess
    receiver_url: str
    simulated: bool


def _step(mark: str, what: str, detail: str = "") -> None:
    """Print one step as it happens."""
    colour = {"ok": "green", "->": "cyan", "<-": "cyan"}.get(mark, "yellow")
    console.print(f"  [{colour}]{mark:>2}[/] {escape(f'{what:<12}')} {escape(detail)}")


@click.command()
def command() -> None:
    """Run Redis, the WaveSpeed simulator, the gateway, a worker and a callback receiver; submit one video; go on.

    With WAVESPEED_API_KEY set the real WaveSpeed takes the simulator's place, and nothing is bought unless DEMO=pay.
    """
    for number in _ENDING:
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="breakwater-")))
            _run(stack, directory)
    except KeyboardInterrupt:
        console.print("\nEverything has ended. Next: make run again, or make test.")
    except BreakwaterError as error:
        raise click.ClickException(str(error)) from None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End everything in order, whichever signal asks for it; asking again while that goes on changes nothing."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(stack: ExitStack, directory: Path) -> None:
    """Start everything, show the main job, stay until interrupted."""
    os.environ |= _defaults()
    settings = settings_or_exit()
    for name, port in (
        ("BREAKWATER_PORT", settings.port),
        ("BREAKWATER_WORKER_METRICS_PORT", settings.worker_metrics_port),
    ):
        if not port_is_free(port, settings.host):
            raise LocalSystemFailed(
                f"port {port} is busy; end what listens there, or choose another: {name}={port + 10} make run"
            )
    simulated = settings.wavespeed_api_key is None and settings.upstream_key_file is None
    console.print("\n[bold]Breakwater[/]: everything on this machine, and one video going through\n")
    if not os.environ.get("BREAKWATER_REDIS_URL"):
        os.environ["BREAKWATER_REDIS_URL"] = stack.enter_context(embedded_server(None, directory / "redis"))
        _step("ok", "redis", f"{os.environ['BREAKWATER_REDIS_URL']} (embedded, nothing is kept)")
    system = stack.enter_context(LocalSystem(directory))
    if simulated:
        _start_simulator(system)
    else:
        _step("ok", "upstream", f"{settings.upstream_url} (the real one: your key, your money)")
    demo = _start_gateway(system, simulated)
    paid = os.environ.get("DEMO") == "pay"
    if simulated or paid:
        try:
            _show_main_job(demo)
        except httpx2.TransportError as broken:
            system.check()  # says more, if a process has ended
            raise LocalSystemFailed(f"the gateway did not answer: {type(broken).__name__}") from broken
    _show_what_next(demo, bought=simulated or paid)
    while True:
        system.check()
        _print_callbacks(demo.receiver)
        time.sleep(0.2)


def _defaults() -> dict[str, str]:
    """Settings for a run on this machine, where the caller's environment has none."""
    wanted = {
        "BREAKWATER_ENCRYPTION_KEY": urlsafe_b64encode(os.urandom(32)).decode(),
        "BREAKWATER_CALLBACK_ALLOW": "127.0.0.1/32",
        "BREAKWATER_SHUTDOWN_GRACE_S": "0",  # no load balancer stands before it
    }
    given = {name for name, value in os.environ.items() if value}
    if not given & {"WAVESPEED_API_KEY", "BREAKWATER_UPSTREAM_KEY_FILE"}:
        wanted["BREAKWATER_POLL_SCALE"] = POLL_SCALE
    if "BREAKWATER_REDIS_URL" in given and "BREAKWATER_ENCRYPTION_KEY" not in given:
        raise LocalSystemFailed(
            "BREAKWATER_ENCRYPTION_KEY: is required with a Redis of your own, which keeps what it encrypts"
        )
    return {name: value for name, value in wanted.items() if name not in given}


def _start_simulator(system: LocalSystem) -> None:
    """Start the WaveSpeed double and make it the upstream."""
    port = free_port(SIMULATOR_PORT)
    url = f"http://127.0.0.1:{port}"
    # A seed of its own: a Redis that is kept would know the task ids of an earlier run.
    seed = str(int.from_bytes(os.urandom(4)))
    arguments = ["--port", str(port), "--key", SIMULATOR_KEY, "--seed", seed]
    simulator = system.start("simulator", "simulator", arguments, child_environment({}))
    wait_for_url(f"{url}/_control/state", simulator.check)
    os.environ |= {"BREAKWATER_UPSTREAM_URL": url, "WAVESPEED_API_KEY": SIMULATOR_KEY}
    _step("ok", "simulator", f"{url} (stands in for WaveSpeed; set WAVESPEED_API_KEY for the real one)")


def _start_gateway(system: LocalSystem, simulated: bool) -> Demo:
    """Start gateway and worker, create the tenant with its key and endpoint, start the receiver."""
    settings = settings_or_exit(needs_upstream_key=True, needs_encryption_key=True)
    environment = child_environment({})
    gateway = system.start("gateway", "service", ["serve"], environment)
    worker = system.start("worker", "worker", [], environment)
    wait_for_url(f"http://{settings.host}:{settings.port}/readyz", gateway.check)
    _step("ok", "gateway", settings.base_url)
    wait_for_url(f"http://{settings.host}:{settings.worker_metrics_port}/readyz", worker.check)
    _step("ok", "worker", "polls WaveSpeed and sends the callbacks")
    receiver_port = free_port(RECEIVER_PORT)
    receiver_url = f"http://127.0.0.1:{receiver_port}/callbacks"
    key, secret = asyncio.run(_create_tenant(settings, receiver_url))
    _step("ok", "tenant", f"{TENANT}, with an API key and an endpoint at {receiver_url}")
    arguments = ["listen", "--port", str(receiver_port), "--json"]
    receiver = system.start("receiver", "service", arguments, child_environment({"LISTEN_SECRET": secret}))
    wait_for_url(receiver_url, receiver.check)
    _step("ok", "receiver", f"{receiver_url} (verifies every signature)")
    return Demo(settings, key, receiver, receiver_url, simulated)


async def _create_tenant(settings: Settings, receiver_url: str) -> tuple[str, str]:
    """Create the tenant and its endpoint unless they exist, and a key; return the key and the endpoint's secret."""
    async with open_resources(settings) as resources:
        try:
            tenant = await resources.administer.create_tenant(TENANT, TenantSpec(name="Demo"))
        except AlreadyExists:
            tenant = await resources.tenants.get(TENANT)
        _, key = await resources.administer.create_key(TENANT, "make run")
        for endpoint in await resources.endpoints.list(TENANT):  # an earlier run's, on a Redis that is kept
            if endpoint.url == receiver_url:
                return key, resources.encryption.decrypt(endpoint.secrets[0].encrypted)
        _, secret = await resources.register_endpoint(tenant, receiver_url, [], "the receiver of make run")
    return key, secret


def _show_main_job(demo: Demo) -> None:
    """Submit one video, poll as a client would, and wait for its verified callback."""
    console.print()
    base = demo.settings.base_url
    headers = {"authorization": f"Bearer {demo.key}"}
    with httpx2.Client(base_url=base, headers=headers, trust_env=False, timeout=15.0) as client:
        _step("->", "submit", f'POST /api/v3/{MODEL}  {{"prompt": "{PROMPT}"}}')
        started = time.monotonic()
        answer = client.post(f"/api/v3/{MODEL}", json={"prompt": PROMPT})
        if answer.status_code != 200:
            raise LocalSystemFailed(f"the submission was answered {answer.status_code}: {answer.text}")
        data = answer.json()["data"]
        _step("<-", "200", f"id {data['id']}, status {data['status']}")
        status = data["status"]
        while status not in ("completed", "failed"):
            time.sleep(0.25)
            answer = client.get(f"/api/v3/predictions/{data['id']}/result")
            if answer.status_code != 200:
                continue  # the store is away for a moment
            data = answer.json()["data"]
            if data["status"] != status:
                status = data["status"]
                _step("<-", "result", f"status {status} after {time.monotonic() - started:.1f} s")
        if status == "failed":
            raise LocalSystemFailed(f"the prediction failed: {data['error']}")
        _step("ok", "video", str(data["outputs"][0]))
    _await_callback(demo.receiver, data["id"])


def _await_callback(receiver: LocalProcess, prediction_id: str) -> None:
    """Wait for the callback of the end. Raises `LocalSystemFailed` if it does not come or does not verify."""
    deadline = time.monotonic() + CALLBACK_WITHIN_S
    while time.monotonic() < deadline:
        try:
            received = _received(receiver.lines.get(timeout=0.2))
        except queue.Empty:
            receiver.check()
            continue
        _step("ok" if received["verified"] else "!!", "callback", _told(received))
        if received["prediction"] == prediction_id and received["event"] == "prediction.completed":
            if not received["verified"]:
                raise LocalSystemFailed(f"the callback did not verify: {received['reason']}")
            return
    raise LocalSystemFailed(f"no callback within {CALLBACK_WITHIN_S:.0f} s")


def _received(line: str) -> dict[str, Any]:
    """Read one line of the receiver."""
    from pydantic_core import from_json

    parsed: dict[str, Any] = from_json(line)
    return parsed


def _told(received: dict[str, Any]) -> str:
    """Say in words what the receiver got."""
    signature = "signature verified" if received["verified"] else f"NOT verified: {received['reason']}"
    return f"{received['event']} received, {signature} (webhook-id {received['webhook_id']})"


def _print_callbacks(receiver: LocalProcess) -> None:
    """Print what has arrived since the last time."""
    while not receiver.lines.empty():
        received = _received(receiver.lines.get())
        _step("ok" if received["verified"] else "!!", "callback", _told(received))


_OPERATORS_NEED: Final = ("BREAKWATER_REDIS_URL", "BREAKWATER_ENCRYPTION_KEY", "BREAKWATER_CALLBACK_ALLOW")
"""What operators' commands need of the environment; here all of it is made up for this run."""

_SIMULATED: Final = ("BREAKWATER_UPSTREAM_URL", "WAVESPEED_API_KEY")
"""What `check` needs as well; shown only where the simulator stands in, whose key is nobody's secret."""


def _show_what_next(demo: Demo, *, bought: bool) -> None:
    """Print the key, a curl line to try, the addresses, and how to stop."""
    base = demo.settings.base_url
    price = dollars(read_models(demo.settings).get(MODEL).usual_price_micros)
    body = json_bytes({"prompt": PROMPT}).decode()
    if not bought:
        console.print(
            f"\nNothing was bought. The line below costs about ${price}; DEMO=pay make run submits it for you."
        )
    console.print(
        f"\n[bold]Try it[/] (tenant {TENANT}" + (", simulated" if demo.simulated else f", about ${price}") + ")"
    )
    print(f"  export BREAKWATER_KEY={demo.key}")  # noqa: T201 to be copied: no wrapping, no markup
    headers = "-H \"Authorization: Bearer $BREAKWATER_KEY\" -H 'Content-Type: application/json'"
    print(f"  curl -s {base}/api/v3/{MODEL} {headers} -d '{body}'")  # noqa: T201
    console.print("\n[bold]Operators[/] (their commands need what the gateway was started with)")
    for name in _OPERATORS_NEED + (_SIMULATED if demo.simulated else ()):
        print(f"  export {name}={os.environ[name]}")  # noqa: T201
    print("  .venv/bin/breakwater tenant list")  # noqa: T201
    console.print("\n[bold]Addresses[/]")
    console.print(f"  docs            {base}/docs")
    console.print(
        f"  metrics         {base}/metrics and http://{demo.settings.host}:{demo.settings.worker_metrics_port}/metrics"
    )
    console.print(f"  callbacks go to {demo.receiver_url}")
    console.print("\nRunning until Ctrl-C.")
