"""How many there are: replicas, autoscalers, and how many may be missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.cluster import cluster
from tests.chart.rendering import Helm, Object, of_kind
from tests.chart.variants import VARIANTS

Render = Callable[[str], list[Object]]
Changed = Callable[..., list[Object]]

PRODUCTION = ("values-small", "values-large", "required", "everything")


def _fewest(objects: list[Object], workload: str) -> int:
    """The fewest replicas there are meant to be: the autoscaler's, or the Deployment's."""
    name = f"breakwater-{workload}"
    for scaler in of_kind(objects, "HorizontalPodAutoscaler").values():
        if scaler["spec"]["scaleTargetRef"]["name"] == name:
            return int(scaler["spec"]["minReplicas"])
    for scaler in of_kind(objects, "ScaledObject").values():
        if scaler["spec"]["scaleTargetRef"]["name"] == name:
            return int(scaler["spec"]["minReplicaCount"])
    return int(of_kind(objects, "Deployment")[name]["spec"]["replicas"])


@pytest.mark.parametrize("name", PRODUCTION)
@pytest.mark.parametrize("workload", ["gateway", "worker"])
def test_one_may_always_die(name: str, workload: str, rendered: Render) -> None:
    """In production there are two of each at least, and a drain of nodes leaves one."""
    fewest = _fewest(rendered(name), workload)
    assert fewest >= 2
    budget = of_kind(rendered(name), "PodDisruptionBudget")[f"breakwater-{workload}"]["spec"]
    assert 1 <= budget["maxUnavailable"] < fewest
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    deployment = of_kind(rendered(name), "Deployment")[f"breakwater-{workload}"]["spec"]
    assert budget["selector"] == deployment["selector"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_scaled_deployment_states_no_replicas(name: str, rendered: Render) -> None:
    """Where an autoscaler decides, an upgrade does not set its number back."""
    objects = rendered(name)
    scaled = {
        scaler["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for scaler in of_kind(objects, kind).values()
    }
    for workload, deployment in of_kind(objects, "Deployment").items():
        assert ("replicas" in deployment["spec"]) == (workload not in scaled)


def test_turning_scaling_on_drops_no_pods(helm: Helm, helm3: Helm, rendered: Render, tmp_path: Path) -> None:
    """A scaled Deployment that runs keeps the number it has: without one it would be one until the autoscaler looks."""
    scaled, fixed = VARIANTS["values-large"], VARIANTS["values-small"]
    kinds = rendered("values-large")
    for one in (helm3, helm):
        with cluster(kinds, {"breakwater-gateway": 7, "breakwater-worker": 3}, tmp_path) as there:
            running = of_kind(one.objects(scaled, *there), "Deployment")
            stated = of_kind(one.objects(fixed, *there), "Deployment")
        assert running["breakwater-gateway"]["spec"]["replicas"] == 7
        assert running["breakwater-worker"]["spec"]["replicas"] == 3
        assert {thing["spec"]["replicas"] for thing in stated.values()} == {2}
        with cluster(kinds, {}, tmp_path) as there:
            first = of_kind(one.objects(scaled, *there), "Deployment")
        assert not [thing for thing in first.values() if "replicas" in thing["spec"]]


def test_the_gateway_follows_its_cpu(rendered: Render) -> None:
    """Up at once, down one a minute after a calm while: streams move with every pod that goes."""
    for name in ("values-large", "everything"):
        scaler = of_kind(rendered(name), "HorizontalPodAutoscaler")["breakwater-gateway"]
        assert scaler["apiVersion"] == "autoscaling/v2"
        spec = scaler["spec"]
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
        down = spec["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300
        assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_the_worker_follows_what_is_due(rendered: Render) -> None:
    """By the age of the oldest due item, without what waits for the account; a silent Prometheus is no age of zero."""
    scaler = of_kind(rendered("values-large"), "ScaledObject")["breakwater-worker"]["spec"]
    assert scaler["minReplicaCount"] >= 2
    assert "idleReplicaCount" not in scaler
    [trigger] = scaler["triggers"]
    assert trigger["type"] == "prometheus"
    assert trigger["metricType"] == "Value"
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert trigger["metadata"]["query"] == (
        'max(breakwater_oldest_due_age_seconds{namespace="videos",pod=~"breakwater-worker-.*",due_set!="submit"})'
    )
    assert trigger["metadata"]["threshold"] == "5"
    other = of_kind(rendered("everything"), "ScaledObject")["breakwater-worker"]["spec"]
    assert other["fallback"] == {"failureThreshold": 3, "replicas": 4}
    assert other["triggers"][0]["metadata"]["threshold"] == "2.5"


def test_workers_may_be_found_by_other_labels(changed: Changed) -> None:
    """A Prometheus without the operator labels as it likes."""
    keda = {"enabled": True, "serverAddress": "http://prometheus:9090", "matchers": 'job="breakwater-worker"'}
    [scaler] = of_kind(changed(worker={"keda": keda}), "ScaledObject").values()
    query = scaler["spec"]["triggers"][0]["metadata"]["query"]
    assert query == 'max(breakwater_oldest_due_age_seconds{job="breakwater-worker",due_set!="submit"})'
