"""The pods: how they start, roll, end, and what they are allowed."""

from collections.abc import Callable

import pytest

from service.settings import Settings
from tests.chart.rendering import Object, environment, of_kind, pod_specs
from tests.chart.variants import DIGEST, VARIANTS

Render = Callable[[str], list[Object]]
Changed = Callable[..., list[Object]]


def _deployment(objects: list[Object], workload: str) -> Object:
    return of_kind(objects, "Deployment")[f"breakwater-{workload}"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_pod_has_the_time_its_end_takes(name: str, rendered: Render) -> None:
    """TerminationGracePeriodSeconds is longer than grace and drain together, by a margin; no hook spends any of it."""
    for workload in ("gateway", "worker"):
        settings = environment(rendered(name), workload)
        pod = _deployment(rendered(name), workload)["spec"]["template"]["spec"]
        needed = float(settings["BREAKWATER_DRAIN_S"])
        if workload == "gateway":
            needed += float(settings["BREAKWATER_SHUTDOWN_GRACE_S"])
        assert pod["terminationGracePeriodSeconds"] == needed + 10
        assert "lifecycle" not in pod["containers"][0]


@pytest.mark.parametrize(
    ("grace", "drain", "margin", "gateway", "worker"),
    [(0, 25, 10, 35, 35), (2.5, 0.2, 10, 13, 11), (600, 600, 600, 1800, 1200), (None, None, 10, 40, 35)],
)
def test_the_time_follows_the_settings(
    grace: float | None, drain: float | None, margin: int, gateway: int, worker: int, changed: Changed
) -> None:
    """Also a grace of none, parts of seconds, and settings taken out, when the service's own defaults hold."""
    settings = {"BREAKWATER_SHUTDOWN_GRACE_S": grace, "BREAKWATER_DRAIN_S": drain}
    objects = changed(settings=settings, terminationMarginSeconds=margin)
    told = {name: _deployment(objects, name)["spec"]["template"]["spec"] for name in ("gateway", "worker")}
    assert told["gateway"]["terminationGracePeriodSeconds"] == gateway
    assert told["worker"]["terminationGracePeriodSeconds"] == worker


def test_the_chart_s_defaults_are_the_service_s(rendered: Render) -> None:
    """What the chart sets without being asked is what the service would do by itself, but for the address."""
    fields = Settings.model_fields
    settings = environment(rendered("required"), "gateway")
    for name in ("port", "worker_metrics_port", "shutdown_grace_s", "drain_s"):
        assert float(settings[f"BREAKWATER_{name.upper()}"]) == fields[name].default
    assert settings["BREAKWATER_HOST"] == "0.0.0.0"  # noqa: S104 # the pod's own


@pytest.mark.parametrize("name", VARIANTS)
def test_a_rollout_takes_nothing_away_first(name: str, rendered: Render) -> None:
    """A pod goes when its successor is ready, never before."""
    for workload in ("gateway", "worker"):
        strategy = _deployment(rendered(name), workload)["spec"]["strategy"]
        assert strategy["type"] == "RollingUpdate"
        assert strategy["rollingUpdate"]["maxUnavailable"] == 0
        assert strategy["rollingUpdate"]["maxSurge"] in (1, "25%")


@pytest.mark.parametrize("name", VARIANTS)
def test_no_pod_may_more_than_it_must(name: str, rendered: Render) -> None:
    """Every container of every pod is what the restricted standard asks for, and has limits; no pod gets a token."""
    pods = pod_specs(rendered(name))
    assert len(pods) >= 3
    for who, pod in pods.items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, who
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, who
        assert pod["automountServiceAccountToken"] is False, who
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod), who
        assert all(set(volume) & {"emptyDir", "secret", "configMap"} for volume in pod.get("volumes", [])), who
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }, who
            for amounts in ("requests", "limits"):
                assert set(container["resources"][amounts]) == {"cpu", "memory"}, who


@pytest.mark.parametrize("name", VARIANTS)
def test_services_make_no_variables(name: str, rendered: Render) -> None:
    """Of a Service named breakwater Kubernetes would make BREAKWATER_PORT=tcp://..., and no gateway would start."""
    assert all(pod["enableServiceLinks"] is False for pod in pod_specs(rendered(name)).values())


def test_the_user_is_the_image_s_or_the_platform_s(rendered: Render) -> None:
    """10001 unless it is left to the platform; who may not be root is said either way."""
    pod = pod_specs(rendered("required"))["Deployment/breakwater-gateway"]
    assert {pod["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
    pod = pod_specs(rendered("bare"))["Deployment/breakwater-gateway"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])


@pytest.mark.parametrize("name", VARIANTS)
def test_probes_ask_what_they_are_for(name: str, rendered: Render) -> None:
    """Redis being away makes a pod unready, never restarted; a start may take a minute and more."""
    for workload in ("gateway", "worker"):
        [container] = _deployment(rendered(name), workload)["spec"]["template"]["spec"]["containers"]
        paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
        assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 60
        variable = "BREAKWATER_PORT" if workload == "gateway" else "BREAKWATER_WORKER_METRICS_PORT"
        [port] = container["ports"]
        assert port["containerPort"] == int(environment(rendered(name), workload)[variable])
        assert container["args"] == [{"gateway": "serve", "worker": "worker"}[workload]]


def test_pods_spread_over_zones_and_nodes(rendered: Render) -> None:
    """Without a word about it, replicas stand apart; with one, as it says."""
    pod = pod_specs(rendered("everything"))["Deployment/breakwater-gateway"]
    assert [rule["topologyKey"] for rule in pod["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    for rule in pod["topologySpreadConstraints"]:
        assert rule["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    worker = pod_specs(rendered("everything"))["Deployment/breakwater-worker"]
    assert [rule["topologyKey"] for rule in worker["topologySpreadConstraints"]] == ["zone"]


def test_what_is_said_of_pods_reaches_them(rendered: Render) -> None:
    """Image, placing, labels and variables of the values stand in the pods they are meant for."""
    gateway = _deployment(rendered("everything"), "gateway")["spec"]["template"]
    worker = _deployment(rendered("everything"), "worker")["spec"]["template"]
    assert gateway["spec"]["containers"][0]["image"] == f"registry.example.com/breakwater@{DIGEST}"
    assert gateway["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert gateway["spec"]["priorityClassName"] == "high"
    assert gateway["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert gateway["spec"]["tolerations"][0]["key"] == "video"
    assert "nodeAffinity" in gateway["spec"]["affinity"]
    assert gateway["metadata"]["annotations"]["example.com/note"] == "yes"
    assert gateway["metadata"]["labels"]["example.com/tier"] == "front"
    assert gateway["metadata"]["labels"]["team"] == "video"
    names = {
        kind: {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}
        for kind, pod in (("gateway", gateway), ("worker", worker))
    }
    assert {"TZ", "GATEWAY_ONLY"} <= names["gateway"]
    assert {"TZ", "WORKER_ONLY"} <= names["worker"]
    assert not names["gateway"] & {"WORKER_ONLY"}
    assert "BREAKWATER_ADMIN_TOKEN" in names["gateway"]
    assert "BREAKWATER_ADMIN_TOKEN" not in names["worker"]


def test_selectors_hold_nothing_that_changes(rendered: Render) -> None:
    """A selector is immutable: neither version nor labels of the values are in it, and it finds its own pods only."""
    for workload in ("gateway", "worker"):
        spec = _deployment(rendered("everything"), workload)["spec"]
        assert set(spec["selector"]["matchLabels"]) == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
        }
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
