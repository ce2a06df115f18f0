"""What contradicts itself, or is misspelt, renders nothing and says why."""

from typing import Any

import pytest

from tests.chart.rendering import Helm
from tests.chart.variants import CONTROLLER, PROMETHEUS, REQUIRED, Variant, network

KEDA = {"enabled": True, "serverAddress": "http://prometheus:9090"}
MONITORS = {"monitors": {"enabled": True}}
INGRESS = {"enabled": True, "hosts": ["videos.example.com"]}

CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no secret": ({"existingSecret": {"name": ""}}, "existingSecret.name: is required"),
    "no redis": ({"redis": {}}, "redis: say where it is"),
    "two redis urls": (
        {"existingSecret": {"name": "secrets", "keys": {"redisUrl": "url"}}},
        "redis.url and existingSecret.keys.redisUrl: give one",
    ),
    "embedded and another": (
        {"redis": {"url": "redis://redis:6379", "embedded": {"enabled": True}}},
        "redis.embedded.enabled: there is another Redis",
    ),
    "password in the open": ({"redis": {"url": "redis://:word@redis:6379"}}, "redis.url: holds a user or password"),
    "simulator and upstream": (
        {"simulator": {"enabled": True}, "settings": {"BREAKWATER_UPSTREAM_URL": "https://api.example.com"}},
        "simulator.enabled and settings.BREAKWATER_UPSTREAM_URL",
    ),
    "webhooks without signing key": (
        {"settings": {"BREAKWATER_UPSTREAM_WEBHOOKS": "on", "BREAKWATER_PUBLIC_URL": "https://videos.example.com"}},
        "needs existingSecret.keys.signingKey",
    ),
    "webhooks without a public url": (
        {
            "settings": {"BREAKWATER_UPSTREAM_WEBHOOKS": "on"},
            "existingSecret": {"name": "secrets", "keys": {"signingKey": "sign"}},
        },
        "needs an ingress or settings.BREAKWATER_PUBLIC_URL",
    ),
    "ingress without hosts": ({"ingress": {"enabled": True}}, "ingress.hosts: is required"),
    "two models files": ({"models": {"content": "x", "existingConfigMap": "y"}}, "models.content and models.existing"),
    "two tenants files": (
        {"tenants": {"content": "x", "existingConfigMap": "y"}},
        "tenants.content and tenants.existi",
    ),
    "replicas and autoscaling": (
        {"gateway": {"replicas": 3, "autoscaling": {"enabled": True}}},
        "gateway.replicas: leave it unset",
    ),
    "replicas and keda": (
        {"worker": {"replicas": 3, "keda": KEDA}, "monitoring": MONITORS},
        "worker.replicas: leave it unset",
    ),
    "keda without prometheus": (
        {"worker": {"keda": {"enabled": True}}, "monitoring": MONITORS},
        "worker.keda.serverAddress: is required",
    ),
    "keda of what nobody scrapes": ({"worker": {"keda": KEDA}}, "worker.keda.matchers: say how"),
    "min over max": (
        {"gateway": {"autoscaling": {"enabled": True, "minReplicas": 20}}},
        "gateway: minReplicas is greater than maxReplicas",
    ),
    "all may go at once": (
        {"gateway": {"replicas": 2, "podDisruptionBudget": {"maxUnavailable": 2}}},
        "gateway.podDisruptionBudget.maxUnavailable: would let all 2 replicas go at once",
    ),
    "all workers may go at once": (
        {"worker": {"keda": KEDA, "podDisruptionBudget": {"maxUnavailable": 3}}, "monitoring": MONITORS},
        "worker.podDisruptionBudget.maxUnavailable: would let all 2",
    ),
    "redis behind the policy": ({"networkPolicy": {}}, "networkPolicy.egress.redis.to: is required"),
    "callbacks nowhere": (
        {"settings": {"BREAKWATER_CALLBACK_ALLOW": "*.svc.cluster.local"}},
        "networkPolicy.egress.callbacks: no policy is made of *.svc.cluster.local in settings.",
    ),
    "some callbacks nowhere": (
        {"settings": {"BREAKWATER_CALLBACK_ALLOW": "10.20.0.0/16, *.svc.cluster.local"}},
        "no policy is made of *.svc.cluster.local in settings.BREAKWATER_CALLBACK_ALLOW",
    ),
    "wavespeed around a cloud's metadata": (
        {"networkPolicy": network(upstream={"cidrs": ["128.0.0.0/1"]})},
        "networkPolicy.egress.upstream.cidrs: 128.0.0.0/1 holds",
    ),
    "monitors behind the policy": (
        {"monitoring": MONITORS, "networkPolicy": network({"monitoringFrom": []})},
        "networkPolicy.ingress.monitoringFrom: is required with monitoring.monitors.enabled",
    ),
    "an ingress behind the policy": (
        {"ingress": INGRESS, "networkPolicy": network({"gatewayFrom": [{"podSelector": {}}]})},
        "networkPolicy.ingress.gatewayFrom: is required with ingress.enabled",
    ),
    "an ingress and nobody": (
        {"ingress": INGRESS, "networkPolicy": network({"gatewayFrom": []})},
        "networkPolicy.ingress.gatewayFrom: is required with ingress.enabled",
    ),
    "a check before its redis": (
        {"redis": {"embedded": {"enabled": True}}, "check": {"enabled": True}},
        "check.enabled: the check runs before redis.embedded",
    ),
    "a check before its simulator": (
        {"simulator": {"enabled": True}, "check": {"enabled": True}},
        "check.enabled: the check runs before redis.embedded and the simulator",
    ),
    "a user without its group": ({"security": {"fsGroup": None}}, "security.fsGroup: is null while runAsUser is set"),
    "all of some may go at once": (
        {"gateway": {"podDisruptionBudget": {"maxUnavailable": "100%"}}},
        "gateway.podDisruptionBudget.maxUnavailable: would let all 2 replicas go at once",
    ),
    "a share that is rounded up to all": (
        {"worker": {"replicas": 3, "podDisruptionBudget": {"maxUnavailable": "67%"}}},
        "worker.podDisruptionBudget.maxUnavailable: would let all 3 replicas go at once",
    ),
}

MISSPELT: dict[str, dict[str, Any]] = {
    "at the top": {"gatway": {}},
    "in a group": {"gateway": {"replica": 3}},
    "deep": {"worker": {"keda": {"enable": True}}},
    "a setting": {"settings": {"BREAKWATER_POLL_SCALES": 1}},
    "a setting that is secret": {"settings": {"BREAKWATER_ENCRYPTION_KEY": "x"}},
    "a setting out of range": {"settings": {"BREAKWATER_DRAIN_S": 601}},
    "a setting of another kind": {"settings": {"BREAKWATER_UPSTREAM_WEBHOOKS": True}},
    "resources": {"gateway": {"resources": {"request": {"cpu": "1"}}}},
    "probes": {"gateway": {"probes": {"startup": {"periodSecond": 1}}}},
    "network": {"networkPolicy": {"egress": {"redi": {}}}},
    "an exception that is everything": {"networkPolicy": {"egress": {"upstream": {"except": ["0.0.0.0/0"]}}}},
    "a CIDR": {"networkPolicy": {"egress": {"callbacks": {"cidrs": ["10.0.0.1"]}}}},
    "a digest": {"image": {"digest": "sha256:abc"}},
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_told(name: str, helm: Helm, helm3: Helm) -> None:
    """The message names the values that cannot be together, or what is missing, the same with both helms."""
    values, message = CONTRADICTIONS[name]
    for one in (helm3, helm):
        assert message in one.refusal(Variant(values={**REQUIRED, **values}))


@pytest.mark.parametrize(
    "values",
    [
        {"ingress": INGRESS, "networkPolicy": network({"gatewayFrom": [CONTROLLER], "monitoringFrom": []})},
        {"ingress": INGRESS, "monitoring": MONITORS, "networkPolicy": {"enabled": False}},
        {"monitoring": MONITORS, "networkPolicy": network({"monitoringFrom": [PROMETHEUS]})},
        {"worker": {"replicas": 3, "podDisruptionBudget": {"maxUnavailable": "66%"}}},
        {"gateway": {"replicas": 1, "podDisruptionBudget": {"maxUnavailable": "100%"}}},
        {"security": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    ],
)
def test_what_is_close_to_a_contradiction_is_rendered(values: dict[str, Any], helm: Helm) -> None:
    """The checks refuse what cannot work, and no more."""
    assert helm.objects(Variant(values={**REQUIRED, **values}))


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_value_is_refused(name: str, helm: Helm) -> None:
    """Nothing is ignored in silence: a name or a value that means nothing stops the install."""
    assert "values don't meet the specifications of the schema" in helm.refusal(
        Variant(values={**REQUIRED, **MISSPELT[name]})
    )
