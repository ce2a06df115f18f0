"""Every object is what Kubernetes and its extensions define, and not a field more."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.rendering import Object
from tests.chart.variants import CHART, NEWEST, OLDEST, VARIANTS

CUSTOM = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject"}
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def files(rendered: Callable[[str], list[Object]], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Kubernetes' own objects of every variant, a file each."""
    directory = tmp_path_factory.mktemp("objects")
    for name in VARIANTS:
        own = [thing for thing in rendered(name) if thing["kind"] not in CUSTOM]
        # YAML is a superset of JSON, and a stream of objects stays one.
        (directory / f"{name}.yaml").write_text("\n---\n".join(json.dumps(thing) for thing in own))
    return sorted(str(file) for file in directory.iterdir())


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(
    version: str, files: list[str], rendered: Callable[[str], list[Object]], venvs: Path
) -> None:
    """Each object of each variant passes the strict schemas of the oldest and the newest version."""
    command = [str(venvs / "validate/bin/kubernetes-validate"), "--strict", "--kubernetes-version", version, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, "\n".join(line for line in told.splitlines() if " passed " not in line)
    judged = sum(thing["kind"] not in CUSTOM for name in VARIANTS for thing in rendered(name))
    assert told.count(f"against version {version}") == judged > 100


def test_a_field_too_many_is_found(venvs: Path, tmp_path: Path) -> None:
    """The judge of Kubernetes' objects does judge: a misspelt field fails."""
    file = tmp_path / "service.yaml"
    file.write_text('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"selektor": {}}}')
    command = [str(venvs / "validate/bin/kubernetes-validate"), "--strict", "--kubernetes-version", OLDEST, str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def _judge_custom(objects: list[Object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", str(HERE / "crds.mjs")], input=json.dumps(objects), capture_output=True, text=True, check=False
    )


def test_operators_know_every_field(rendered: Callable[[str], list[Object]]) -> None:
    """ServiceMonitor, PodMonitor, PrometheusRule and ScaledObject pass the schemas of their definitions."""
    objects = [thing for name in VARIANTS for thing in rendered(name) if thing["kind"] in CUSTOM]
    assert {thing["kind"] for thing in objects} == CUSTOM
    done = _judge_custom(objects)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(objects)} objects, 0 wrong" in done.stdout


def test_a_field_too_many_of_a_custom_resource_is_found(rendered: Callable[[str], list[Object]]) -> None:
    """The judge of custom resources does judge: a field it does not know, and a value out of form."""
    [monitor] = [thing for thing in rendered("everything") if thing["kind"] == "PodMonitor"]
    endpoint = {**monitor["spec"]["podMetricsEndpoints"][0], "intervall": "15s", "interval": "often"}
    done = _judge_custom([{**monitor, "spec": {**monitor["spec"], "podMetricsEndpoints": [endpoint]}}])
    assert done.returncode == 1
    assert "intervall" in done.stdout
    assert "must match pattern" in done.stdout


def test_the_oldest_version_is_the_chart_s() -> None:
    """The chart refuses clusters older than those its objects are judged by."""
    assert f'kubeVersion: ">={OLDEST}.0-0"' in (CHART / "Chart.yaml").read_text()


@pytest.mark.parametrize("name", ["values-small", "values-large", "everything", "values-dev"])
def test_rules_of_safe_configuration(name: str, texts: dict[str, str], venvs: Path, tmp_path: Path) -> None:
    """Checkov finds nothing in any install; of development's, only that its images are named by version."""
    file = tmp_path / f"{name}.yaml"
    file.write_text(texts[name])
    command = [str(venvs / "checkov/bin/checkov"), "--config-file", str(HERE / "checkov.yaml"), "--file", str(file)]
    command += ["--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    failed = {(check["check_id"], check["resource"]) for check in report["results"]["failed_checks"]}
    by_version = {thing for check, thing in failed if check == "CKV_K8S_43"}  # "use a digest": image.digest does
    if name == "everything":
        assert by_version == set()
    assert {check for check, _ in failed} <= {"CKV_K8S_43"}, failed
    assert report["summary"]["passed"] > 200
