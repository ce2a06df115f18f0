"""helm as these tests use it: what it renders, and what it refuses."""

import json
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.chart.variants import CHART, Variant

RELEASE: Final = "breakwater"
NAMESPACE: Final = "videos"
_LAYERS: Final = Path(__file__).parent / "node_modules/@aws-cdk"

Object = dict[str, Any]


def unpack_helm(package: str, directory: Path) -> Path:
    """Take helm out of the package that brings it."""
    binary = directory / package
    with zipfile.ZipFile(_LAYERS / package / "lib/layer.zip") as layer:
        binary.write_bytes(layer.read("helm/helm"))
    binary.chmod(0o755)
    return binary


def read_objects(text: str) -> list[Object]:
    """The objects of a stream of YAML."""
    return [found for found in yaml.load_all(text, yaml.CSafeLoader) if found]


@dataclass(frozen=True)
class Helm:
    """One version of helm; `directory` takes values files."""

    binary: Path
    directory: Path

    def text(self, variant: Variant, *options: str) -> str:
        """What it renders."""
        done = self._run("template", RELEASE, variant, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, variant: Variant, *options: str) -> list[Object]:
        """The objects it renders."""
        return read_objects(self.text(variant, *options))

    def refusal(self, variant: Variant) -> str:
        """Why it renders nothing."""
        done = self._run("template", RELEASE, variant)
        assert done.returncode != 0, "it was rendered"
        return done.stderr

    def lint(self, variant: Variant) -> subprocess.CompletedProcess[str]:
        """What `helm lint --strict` says."""
        return self._run("lint", "--strict", variant)

    def dry_run(self, variant: Variant) -> str:
        """What an install would tell, notes included; no cluster is asked."""
        done = self._run("install", RELEASE, "--dry-run=client", variant)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *arguments: str | Variant) -> subprocess.CompletedProcess[str]:
        command: list[str] = [str(self.binary)]
        for argument in arguments:
            command += [argument] if isinstance(argument, str) else [str(CHART), *self._values(argument)]
        # Without a configuration of this machine's: no plugins, no repositories.
        environment = {"HOME": str(self.directory), "PATH": "/usr/bin:/bin"}
        command += ["--namespace", NAMESPACE]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    def _values(self, variant: Variant) -> Iterable[str]:
        for name in variant.files:
            yield f"--values={CHART / name}"
        if variant.values is not None:
            text = json.dumps(variant.values)
            file = self.directory / f"values-{abs(hash(text))}.yaml"
            file.write_text(text)
            yield f"--values={file}"


def of_kind(objects: Iterable[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind, by name; a name that comes twice is an error."""
    found: dict[str, Object] = {}
    for thing in objects:
        if thing["kind"] == kind:
            assert thing["metadata"]["name"] not in found, f"two of {kind} {thing['metadata']['name']}"
            found[thing["metadata"]["name"]] = thing
    return found


def pod_specs(objects: Iterable[Object]) -> dict[str, Object]:
    """The spec of every pod that is ever started, by kind and name of what starts it."""
    found: dict[str, Object] = {}
    for thing in objects:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            found[name] = thing["spec"]
        elif "template" in thing.get("spec", {}):
            found[name] = thing["spec"]["template"]["spec"]
    return found


def environment(objects: Iterable[Object], workload: str) -> dict[str, str]:
    """What a Deployment's container finds in its environment; of a secret, the name of its key in the Secret."""
    objects = list(objects)
    [container] = pod_specs(objects)[f"Deployment/{RELEASE}-{workload}"]["containers"]
    settings = of_kind(objects, "ConfigMap")[container["envFrom"][0]["configMapRef"]["name"]]["data"]
    named = {
        variable["name"]: variable["value"]
        if "value" in variable
        else "secret:" + variable["valueFrom"]["secretKeyRef"]["key"]
        for variable in container["env"]
    }
    return {**settings, **named}
