"""docker-compose.yml brought up for real: Docker Compose itself, before podman's socket in place of Docker's."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.image.containers import IMAGE, ROOT, container_environment
from tests.journeys.system import free_port

COMPOSE: Final = Path(__file__).parent / ".venv" / "bin" / "docker-compose"
BUILT: Final = ("gateway", "worker", "simulator", "redis", "prometheus", "alertmanager")
"""The services that can be brought up from what Debian has: all but Grafana."""

WORKERS: Final = 2
_PUBLISHED: Final = ("gateway", "simulator", "prometheus", "alertmanager", "grafana")


def settings_file(path: Path, **more: str) -> Path:
    """What a newcomer's .env holds who has done as .env.example says, and `more`."""
    key = subprocess.run(  # the command that stands there, as it stands there
        ["bash", "-c", "head -c 32 /dev/urandom | base64 | tr '+/' '-_'"], capture_output=True, text=True, check=True
    )
    lines = [f"BREAKWATER_ENCRYPTION_KEY={key.stdout.strip()}", *(f"{name}={value}" for name, value in more.items())]
    path.write_text((ROOT / ".env.example").read_text() + "\n".join(lines) + "\n")
    return path


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose on the project's file, told nothing by the environment of the tests but what is named."""
    assert COMPOSE.exists(), "install tests/compose/requirements.lock"
    clean = {name: value for name, value in container_environment().items() if not name.startswith(("COMPOSE_", "GF_"))}
    return subprocess.run(
        [COMPOSE, "--progress=quiet", *arguments],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@dataclass(slots=True)
class Stack:
    """One project of Compose, with ports and volumes of its own."""

    directory: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in _PUBLISHED})

    @property
    def project(self) -> str:
        """The project's name, which no other run has."""
        return f"breakwater-test-{os.getpid()}"

    def url(self, service: str) -> str:
        """Where a service is published."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def compose(self, *arguments: str) -> str:
        """Run Docker Compose on this project and return what it prints; fails the test if it fails."""
        done = compose(
            f"--project-name={self.project}",
            f"--env-file={self.directory / 'env'}",
            *arguments,
            DOCKER_HOST=f"unix://{self.directory / 'podman.sock'}",
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container."""
        return self.compose("exec", "-T", service, *command)

    def containers(self) -> list[dict[str, Any]]:
        """What the engine knows of the containers."""
        told = _podman("ps", "--all", "--quiet", f"--filter=label=com.docker.compose.project={self.project}")
        if not told:
            return []
        found: list[dict[str, Any]] = json.loads(_podman("inspect", *told.split()))
        return found

    @contextmanager
    def up(self) -> Iterator["Stack"]:
        """Bring everything up and wait until it is healthy; take it down with its volumes, whatever happens."""
        published = {f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        file = self.directory / "env"
        settings_file(file, IMAGE=IMAGE, SETTINGS_FILE=str(file), **published)
        with ExitStack() as ending:
            ending.enter_context(self._engine())
            ending.enter_context(self._health_checks())
            ending.callback(self.compose, "down", "--volumes", "--timeout=30")
            try:
                self.compose(
                    "up", "--no-build", "--detach", "--wait", "--wait-timeout=60", f"--scale=worker={WORKERS}", *BUILT
                )
            except AssertionError:
                print(self.compose("ps", "--all"), self.compose("logs", "--tail=20"), sep="\n")  # noqa: T201
                raise
            yield self

    @contextmanager
    def _engine(self) -> Iterator[None]:
        """Podman's answer to Docker's socket."""
        address = self.directory / "podman.sock"
        log = self.directory / "podman.log"
        with log.open("wb") as writing:
            engine = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{address}"],
                env=container_environment(),
                stderr=writing,
            )
        try:
            while not address.exists():
                assert engine.poll() is None, log.read_text()
                with suppress(subprocess.TimeoutExpired):
                    engine.wait(timeout=0.05)
            yield
        finally:
            engine.terminate()
            engine.wait()

    @contextmanager
    def _health_checks(self) -> Iterator[None]:
        """Run each container's own health check every half a second: podman leaves that to systemd."""
        over = threading.Event()

        def check() -> None:
            name = f"label=com.docker.compose.project={self.project}"
            while not over.wait(0.5):
                for container in _podman("ps", "--quiet", f"--filter={name}").split():
                    _podman("healthcheck", "run", container)

        checking = threading.Thread(target=check)
        checking.start()
        try:
            yield
        finally:
            over.set()
            checking.join()


def _podman(*arguments: str) -> str:
    """Ask podman; of a container that is just going, it says nothing."""
    done = subprocess.run(
        ["podman", *arguments], env=container_environment(), capture_output=True, text=True, check=False
    )
    return done.stdout
