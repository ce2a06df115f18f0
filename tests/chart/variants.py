"""The ways the chart is rendered in these tests: every values file, and what can be switched on and off."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CHART: Final = Path(__file__).parents[2] / "deploy/helm/breakwater"

OLDEST, NEWEST = "1.27", "1.37"
"""The Kubernetes versions the chart is judged by: the oldest it allows, the newest whose schemas are bundled."""

DIGEST: Final = "sha256:" + "0123456789abcdef" * 4

REQUIRED: Final[dict[str, Any]] = {
    "existingSecret": {"name": "secrets"},
    "redis": {"url": "redis://redis.example.com:6379/0"},
    "networkPolicy": {"egress": {"redis": {"to": [{"ipBlock": {"cidr": "10.30.0.10/32"}}]}}},
}
"""The least that has to be said: the values of an install without a values file."""

CONTROLLER: Final = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
PROMETHEUS: Final = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def network(ingress: dict[str, Any] | None = None, **egress: Any) -> dict[str, Any]:
    """The required values of the network policy and these; `ingress` beside a controller and a Prometheus."""
    come_in = {"gatewayFrom": [CONTROLLER], "monitoringFrom": [PROMETHEUS], **(ingress or {})}
    return {"ingress": come_in, "egress": {**REQUIRED["networkPolicy"]["egress"], **egress}}


@dataclass(frozen=True, slots=True)
class Variant:
    """Values files of the chart, and values beside them."""

    files: tuple[str, ...] = ()
    values: dict[str, Any] | None = None


def _with(**values: Any) -> Variant:
    """The required values and these."""
    return Variant(values={**REQUIRED, **values})


VALUES_FILES: Final = {path.stem: Variant((path.name,)) for path in sorted(CHART.glob("values-*.yaml"))}
"""One variant for each values file that is shipped."""

EVERYTHING: Final = _with(
    image={"repository": "registry.example.com/breakwater", "digest": DIGEST},
    imagePullSecrets=[{"name": "registry"}],
    commonLabels={"team": "video"},
    existingSecret={
        "name": "secrets",
        "revision": "2",
        "keys": {"signingKey": "sign", "adminToken": "admin", "redisUrl": ""},
    },
    settings={
        "BREAKWATER_UPSTREAM_WEBHOOKS": "on",
        "BREAKWATER_PUBLIC_URL": "https://videos.example.com",
        "BREAKWATER_MAX_UPLOAD_BYTES": 104857600,
        "BREAKWATER_POLL_SCALE": 0.5,
        "BREAKWATER_CALLBACK_ALLOW": "http:10.20.0.0/16, *.svc.cluster.local, fd00:20::/64",
    },
    models={"content": '["acme/film"]\nstate = "enabled"\n'},
    tenants={"content": '[tenants.acme]\nname = "Acme"\n'},
    extraEnv=[{"name": "TZ", "value": "UTC"}],
    gateway={
        "autoscaling": {"enabled": True},
        "extraEnv": [{"name": "GATEWAY_ONLY", "value": "1"}],
        "podAnnotations": {"example.com/note": "yes"},
        "podLabels": {"example.com/tier": "front"},
        "priorityClassName": "high",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "video", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}
                    ]
                }
            }
        },
        "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.com/lb": "internal"}},
    },
    worker={
        "keda": {
            "enabled": True,
            "serverAddress": "http://prometheus:9090",
            "fallbackReplicas": 4,
            "authenticationRef": "prometheus",
            "thresholdSeconds": 2.5,
        },
        "extraEnv": [{"name": "WORKER_ONLY", "value": "1"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
    },
    ingress={
        "enabled": True,
        "hosts": ["videos.example.com", "films.example.com"],
        "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
    },
    serviceAccount={"annotations": {"example.com/role": "reader"}},
    monitoring={
        "monitors": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbookUrl": "https://docs.example.com/runbooks"},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Breakwater"}, "namespace": "monitoring"},
    },
    networkPolicy=network(callbacks={"to": [{"namespaceSelector": {}}]}),
    check={"enabled": True},
)

VARIANTS: Final = {
    **VALUES_FILES,
    "required": Variant(values=REQUIRED),
    "everything": EVERYTHING,
    "sentinels": _with(redis={"sentinels": ["one.example.com:26379", "two.example.com:26380"], "master": "videos"}),
    "bare": _with(
        networkPolicy={"enabled": False},
        serviceAccount={"create": False},
        security={"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        gateway={"podDisruptionBudget": {"enabled": False}},
        worker={"podDisruptionBudget": {"enabled": False}},
    ),
    "files-elsewhere": _with(
        models={"existingConfigMap": "our-models", "key": "catalogue.toml"},
        tenants={"existingConfigMap": "our-tenants"},
        check={"enabled": True},
    ),
    "internet-callbacks": _with(
        redis={"url": "rediss://redis.example.com:6380/0"},
        trust={"existingConfigMap": "our-trust", "key": "bundle.pem"},
        settings={"BREAKWATER_CALLBACK_ALLOW": "0.0.0.0/0 ::/0,168.0.0.0/6 fc00::/7 10.20.0.0/16 hooks.example.com"},
        networkPolicy=network(
            callbacks={"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}}]},
            upstream={"except": []},
        ),
        check={"enabled": True},
    ),
    "pod-callbacks": _with(
        settings={"BREAKWATER_CALLBACK_ALLOW": "*.svc.cluster.local"},
        networkPolicy={
            "egress": {
                "redis": {"to": [{"podSelector": {"matchLabels": {"app": "redis"}}}], "ports": [6380]},
                "callbacks": {"to": [{"namespaceSelector": {}}], "ports": [8080]},
                "upstream": {"cidrs": ["203.0.113.0/24"]},
            }
        },
    ),
}
