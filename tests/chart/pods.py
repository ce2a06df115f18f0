"""Rendered pods, started for real by `podman kube play`.

Podman is no cluster. What it leaves out, and what takes its place here:

- It has no Services: a pod's name in the network is the Service's, and the port it listens on is the Service's.
- It calls no probes: the tests ask what the rendered probes ask, through a port on 127.0.0.1 that is put into the spec.
  It would publish the other ports on every address of the machine, so those are taken out.
- It takes a Secret that becomes variables encoded, and one that becomes files as an object with plain text (Debian's
  4.3): there are two, and the volume names the second. It mounts all its keys, as root's and readable to all (no
  items, no defaultMode, no fsGroup).
- It knows no Jobs: what one would start is played as a pod.
- It knows neither terminationGracePeriodSeconds nor sizeLimit: the former is what its `stop` is given.

All else is played as rendered: image, arguments, variables, user, security context, resources, mounts.
"""

import base64
import json
from contextlib import AsyncExitStack
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.chart.rendering import Object, of_kind
from tests.image.containers import run
from tests.journeys.system import free_port


class Pods:
    """Pods of one release in a network of their own; all of it is gone after the block."""

    def __init__(self, objects: list[Object], secret: dict[str, str], directory: Path) -> None:
        self._objects = objects
        self._secret = secret
        self._directory = directory
        self._network = f"breakwater-chart-{free_port()}"
        self._stack = AsyncExitStack()
        self.ports: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        await run("podman", "network", "create", self._network)
        self._stack.push_async_callback(run, "podman", "network", "rm", "--force", self._network)
        keys = {key: base64.b64encode(value.encode()).decode() for key, value in self._secret.items()}
        await self._make_secret(self._secret_name, keys)
        await self._make_secret(
            self._files_name,
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._files_name}, "data": self._secret},
        )
        # A volume of that name is what becomes of the second when it is mounted.
        self._stack.push_async_callback(run, "podman", "volume", "rm", "--force", self._files_name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def _secret_name(self) -> str:
        [container] = self.spec("gateway")["containers"]
        [name] = {entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"] if "valueFrom" in entry}
        return str(name)

    @property
    def _files_name(self) -> str:
        return f"{self._secret_name}-files"

    def spec(self, workload: str) -> Object:
        """A pod's spec as it was rendered."""
        found: Object = of_kind(self._objects, "Deployment")[f"breakwater-{workload}"]["spec"]["template"]["spec"]
        return found

    def url(self, workload: str) -> str:
        """Where the pod is reached from this machine."""
        return f"http://127.0.0.1:{self.ports[workload]}"

    def container(self, workload: str) -> str:
        """What podman calls the pod's container."""
        return f"breakwater-{workload}-pod-0-{workload}"

    async def start(self, workload: str, alias: str, *, published: bool = False) -> None:
        """Play the workload's Deployment, reached by the others as `alias`; `published`: from this machine, too."""
        deployment = deepcopy(of_kind(self._objects, "Deployment")[f"breakwater-{workload}"])
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        if published:
            self.ports[workload] = free_port()
            container["ports"][0] |= {"hostIP": "127.0.0.1", "hostPort": self.ports[workload]}
        else:
            del container["ports"]
        file = self._write(deployment, pod)
        await run("podman", "kube", "play", "--network", f"{self._network}:alias={alias}", str(file))
        self._stack.push_async_callback(self._end, f"{deployment['metadata']['name']}-pod-0", file)

    async def run_pod(self, name: str, spec: Object) -> str:
        """Play a pod that ends by itself, and return what its container printed; fails the test if that failed."""
        spec = deepcopy(spec)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        file = self._write(pod, spec)
        await run("podman", "kube", "play", "--network", self._network, str(file))
        self._stack.push_async_callback(self._end, name, file)
        container = f"{name}-{spec['containers'][0]['name']}"
        status = (await run("podman", "wait", container)).strip()
        # What it complained of comes on the other stream: both are told.
        printed = await run("sh", "-c", 'exec podman logs "$1" 2>&1', "sh", container)
        assert status == "0", f"{name} ended with {status}: {printed}"
        return printed

    def _write(self, thing: Object, spec: Object) -> Path:
        """Write what podman plays: the thing, whose pods have this spec, and the ConfigMaps it may name."""
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                volume["secret"]["secretName"] = self._files_name
        configs = list(of_kind(self._objects, "ConfigMap").values())
        file = self._directory / f"{thing['metadata']['name']}.yaml"
        file.write_text("\n---\n".join(json.dumps(one) for one in [*configs, thing]))
        return file

    async def state(self, workload: str) -> dict[str, Any]:
        """How the container is doing."""
        told = await run("podman", "inspect", "--format={{json .State}}", self.container(workload))
        found: dict[str, Any] = json.loads(told)
        return found

    async def inside(self, workload: str, *command: str) -> str:
        """What a command prints inside the container."""
        return await run("podman", "exec", self.container(workload), *command)

    async def stop(self, workload: str) -> None:
        """End it as a kubelet does: SIGTERM, and SIGKILL when the rendered time is over."""
        seconds = self.spec(workload)["terminationGracePeriodSeconds"]
        await run("podman", "stop", f"--time={seconds}", self.container(workload))

    async def _end(self, pod: str, file: Path) -> None:
        """Take away what was played; what still runs then has no more to say."""
        await run("podman", "pod", "stop", "--time=1", pod)
        await run("podman", "kube", "down", str(file))

    async def _make_secret(self, name: str, content: Object) -> None:
        await run("podman", "secret", "create", name, "-", stdin=json.dumps(content).encode())
        self._stack.push_async_callback(run, "podman", "secret", "rm", name)
