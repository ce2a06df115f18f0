"""What Prometheus, Grafana and callers find: monitors, rules, dashboards, addresses."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import Object, environment, of_kind
from tests.chart.variants import CHART, network

Render = Callable[[str], list[Object]]
Changed = Callable[..., list[Object]]


def test_both_are_scraped(rendered: Render) -> None:
    """The monitors select the gateway's Service and the worker's pods, by a port that these have."""
    objects = rendered("everything")
    service = of_kind(objects, "Service")["breakwater"]
    gateway = of_kind(objects, "ServiceMonitor")["breakwater-gateway"]
    assert gateway["metadata"]["labels"]["release"] == "prometheus"
    assert gateway["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert gateway["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    worker = of_kind(objects, "PodMonitor")["breakwater-worker"]
    template = of_kind(objects, "Deployment")["breakwater-worker"]["spec"]["template"]
    assert worker["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert worker["spec"]["podMetricsEndpoints"][0]["port"] == template["spec"]["containers"][0]["ports"][0]["name"]


def test_alerts_look_for_the_jobs_there_are(changed: Changed) -> None:
    """Rules and dashboards find gateway and worker by their job, whatever the release is called."""
    objects = changed(fullnameOverride="videos", monitoring={"monitors": {"enabled": True}}, networkPolicy=network())
    [gateway] = of_kind(objects, "ServiceMonitor")["videos-gateway"]["spec"]["endpoints"]
    [worker] = of_kind(objects, "PodMonitor")["videos-worker"]["spec"]["podMetricsEndpoints"]
    jobs = {rule["replacement"] for end in (gateway, worker) for rule in end["relabelings"]}
    assert jobs == {"breakwater-gateway", "breakwater-worker"}
    text = (CHART / "rules/breakwater.yaml").read_text()
    text += "".join(file.read_text().replace('\\"', '"') for file in (CHART / "dashboards").glob("*.json"))
    matchers = set(re.findall(r'job=~?"([^"]+)"', text))
    assert matchers
    for matcher in matchers:
        assert any(re.fullmatch(matcher, job) for job in jobs), matcher


def test_the_rules_are_the_file_s(rendered: Render, changed: Changed) -> None:
    """Nothing of the alerts is changed but where their runbooks are; Prometheus' own templates stay as they are."""
    text = (CHART / "rules/breakwater.yaml").read_text()
    assert "docs/runbooks.md" in text
    groups = yaml.safe_load(text.replace("docs/runbooks.md", "https://docs.example.com/runbooks"))["groups"]
    assert of_kind(rendered("everything"), "PrometheusRule")["breakwater"]["spec"] == {"groups": groups}
    objects = changed(monitoring={"prometheusRule": {"enabled": True}})
    assert of_kind(objects, "PrometheusRule")["breakwater"]["spec"] == yaml.safe_load(text)


@pytest.mark.parametrize("name", ["values-small", "values-large"])
def test_alerts_link_to_their_runbooks(name: str, rendered: Render) -> None:
    """In production every alert has an address that a browser opens, down to its own section."""
    [rules] = of_kind(rendered(name), "PrometheusRule").values()
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts
    for alert in alerts:
        section = alert["alert"].lower()
        assert alert["annotations"]["runbook_url"] == f"https://docs.example.com/breakwater/runbooks.md#{section}"


def test_the_dashboards_are_the_files(rendered: Render) -> None:
    """Each stands in a ConfigMap that Grafana's sidecar finds, is valid JSON, and fits into one."""
    files = sorted(Path(CHART / "dashboards").glob("*.json"))
    assert files
    configs = {
        name: config
        for name, config in of_kind(rendered("everything"), "ConfigMap").items()
        if config["metadata"]["labels"].get("grafana_dashboard") == "1"
    }
    assert set(configs) == {f"breakwater-dashboard-{file.stem}" for file in files}
    for file in files:
        config = configs[f"breakwater-dashboard-{file.stem}"]
        assert config["metadata"]["namespace"] == "monitoring"
        assert config["metadata"]["annotations"] == {"grafana_folder": "Breakwater"}
        assert json.loads(config["data"][file.name]) == json.loads(file.read_text())
        assert len(json.dumps(config)) < 1_000_000


def test_the_ingress_leads_to_the_gateway(rendered: Render) -> None:
    """Callers' paths and WaveSpeed's callbacks on every host; neither metrics nor operators' routes."""
    [ingress] = of_kind(rendered("everything"), "Ingress").values()
    hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
    assert hosts == ["videos.example.com", "films.example.com"]
    for rule in ingress["spec"]["rules"]:
        paths = {path["path"] for path in rule["http"]["paths"]}
        assert paths == {"/api/v3", "/api/v2", "/v1", "/docs", "/openapi.json", "/callbacks/wavespeed"}
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"] == {"name": "breakwater", "port": {"name": "http"}}
    [small] = of_kind(rendered("values-small"), "Ingress").values()
    assert "/callbacks/wavespeed" not in {path["path"] for path in small["spec"]["rules"][0]["http"]["paths"]}
    assert small["spec"]["ingressClassName"] == "nginx"
    assert small["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"


def test_the_public_address_follows(rendered: Render, changed: Changed) -> None:
    """urls.get names the setting, else the ingress, else the Service; never the address the pod listens on."""
    assert environment(rendered("values-small"), "gateway")["BREAKWATER_PUBLIC_URL"] == "https://videos.example.com"
    objects = changed(ingress={"enabled": True, "hosts": ["videos.example.com"]}, networkPolicy=network())
    assert environment(objects, "gateway")["BREAKWATER_PUBLIC_URL"] == "http://videos.example.com"
    assert environment(rendered("required"), "gateway")["BREAKWATER_PUBLIC_URL"] == "http://breakwater.videos.svc"
    objects = changed(gateway={"service": {"port": 8080}})
    assert environment(objects, "gateway")["BREAKWATER_PUBLIC_URL"] == "http://breakwater.videos.svc:8080"
    [service] = of_kind(objects, "Service").values()
    assert service["spec"]["ports"][0]["port"] == 8080
