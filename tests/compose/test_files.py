"""What stands in docker-compose.yml and the files it mounts, judged by the tools that read them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.compose.configuration import DASHBOARDS, DEPLOY, RULES, judge, read_yaml
from tests.compose.stack import compose, settings_file
from tests.image.containers import ROOT


@pytest.fixture
def described(tmp_path: Path) -> dict[str, Any]:
    """The file as Docker Compose understands it, with the simulator."""
    done = compose(f"--env-file={settings_file(tmp_path / 'env')}", "config", "--format=json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_docker_compose_has_nothing_to_say(tmp_path: Path) -> None:
    """With the example's settings, and with a key of WaveSpeed's and no profile: not a warning."""
    example = settings_file(tmp_path / "example")
    (tmp_path / "real").write_text("WAVESPEED_API_KEY=k\nBREAKWATER_ENCRYPTION_KEY=k\n")
    for file in (example, tmp_path / "real"):
        done = compose(f"--env-file={file}", "config", "--quiet")
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("missing", ["WAVESPEED_API_KEY", "BREAKWATER_ENCRYPTION_KEY"])
def test_what_is_missing_is_told_with_what_to_do(missing: str, tmp_path: Path) -> None:
    """No secret has a default: without one nothing starts, and the message says how to come by it."""
    both = {"WAVESPEED_API_KEY": "k", "BREAKWATER_ENCRYPTION_KEY": "k"}
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in both.items() if name != missing))
    done = compose(f"--env-file={tmp_path / 'env'}", "config", "--quiet")
    assert done.returncode != 0
    assert f"{missing} is missing a value: put " in done.stderr


def test_every_service_is_held_back_and_looked_after(described: dict[str, Any]) -> None:
    """Nothing to write to but volumes, no capability, bounds on memory, processor and logs, a health check."""
    services = described["services"]
    assert set(services) == {"gateway", "worker", "simulator", "redis", "prometheus", "alertmanager", "grafana"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"], name
        assert not set(service) & {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"}, name


def test_only_this_machine_gets_in(described: dict[str, Any]) -> None:
    """Every published port is one of 127.0.0.1; Redis has none, and a network that only its users share."""
    services = described["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert "ports" not in services["redis"]
    assert set(services["redis"]["networks"]) == {"store"}
    assert described["networks"]["store"]["internal"]
    assert {name for name, one in services.items() if "store" in one["networks"]} == {"redis", "gateway", "worker"}


def test_every_image_is_pinned(described: dict[str, Any]) -> None:
    """What is not built here names a registry and a version."""
    images = [one["image"] for one in described["services"].values()]
    ours = {one["image"] for one in described["services"].values() if "build" in one}
    foreign = [image for image in images if image not in ours]
    assert (len(ours), len(foreign)) == (1, 4)
    assert all(re.fullmatch(r"docker\.io/[a-z]+/[a-z]+:v?\d+\.\d+(\.\d+)?", image) for image in foreign), foreign


def test_the_image_is_built_once(described: dict[str, Any]) -> None:
    """Two services that build one tag do so at the same time, and the second cannot take it."""
    assert [name for name, one in described["services"].items() if "build" in one] == ["gateway"]


def test_nothing_is_killed_while_it_drains(described: dict[str, Any]) -> None:
    """Gateway and worker get longer than they are told to take, and Redis the time to write."""
    for name in ("gateway", "worker"):
        service = described["services"][name]
        told = service["environment"]
        takes_s = float(told["BREAKWATER_SHUTDOWN_GRACE_S"]) + float(told["BREAKWATER_DRAIN_S"])
        assert int(service["stop_grace_period"].removesuffix("s")) >= takes_s + 10
    assert described["services"]["redis"]["stop_grace_period"] == "30s"


def test_the_settings_are_settings(described: dict[str, Any]) -> None:
    """Each variable that the file or the example gives to Breakwater is one that it has."""
    known = {f"BREAKWATER_{name.upper()}" for name in Settings.model_fields} | {"WAVESPEED_API_KEY"}
    example = set(re.findall(r"^#?((?:BREAKWATER|WAVESPEED)_\w+)=", (ROOT / ".env.example").read_text(), re.M))
    assert example
    given = set(described["services"]["gateway"]["environment"]) | example
    assert {name for name in given if name.startswith(("BREAKWATER_", "WAVESPEED_"))} <= known


def test_what_is_mounted_is_in_the_checkout(described: dict[str, Any]) -> None:
    """Each file and folder is there and is only read; git never takes the secrets along."""
    mounts = [one for service in described["services"].values() for one in service.get("volumes", [])]
    bound = [one for one in mounts if one["type"] == "bind"]
    assert len(bound) == 5
    assert all(one["read_only"] and Path(one["source"]).exists() for one in bound)
    assert judge("git", "-C", ROOT, "check-ignore", ".env").strip() == ".env"


def test_prometheus_understands_its_configuration(tmp_path: Path) -> None:
    """Nothing is wrong to promtool, the chart's rules included."""
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert "/etc/prometheus/rules/" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules/", f"{RULES}/"))
    told = judge("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert re.search(r"SUCCESS: [1-9]\d* rules found", told), told


def test_prometheus_keeps_what_the_rules_look_back_on() -> None:
    """A day more than the longest range of any rule, so that a month's error budget is counted over a month."""
    options = read_yaml(ROOT / "docker-compose.yml")["services"]["prometheus"]["command"]
    (kept,) = [re.fullmatch(r"(\d+)d", one.split("=")[1]) for one in options if "retention.time" in one]
    ranges = [int(days) for days in re.findall(r"\[(\d+)d\]", (RULES / "breakwater.yaml").read_text())]
    assert kept
    assert int(kept[1]) > max(ranges) == 30


def test_every_severity_finds_its_receiver() -> None:
    """The file is fine to amtool; a page goes to one receiver, a ticket to the other, and rules know no third kind."""
    file = DEPLOY / "alertmanager" / "alertmanager.yml"
    judge("amtool", "check-config", file)
    severities = {
        rule["labels"]["severity"]
        for path in RULES.glob("*.yaml")
        for group in read_yaml(path)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert severities == {"page", "ticket"}
    for severity in severities:
        judge(
            "amtool", "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={severity}",
            f"severity={severity}", "alertname=Any",
        )  # fmt: skip


def test_grafana_finds_its_data_and_its_dashboards(described: dict[str, Any]) -> None:
    """The data source is Compose's Prometheus; each dashboard lies where the provider looks and asks that source."""
    provisioning = DEPLOY / "grafana" / "provisioning"
    [source] = read_yaml(provisioning / "datasources" / "prometheus.yml")["datasources"]
    [provider] = read_yaml(provisioning / "dashboards" / "breakwater.yml")["providers"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    grafana = described["services"]["grafana"]
    mounted = {one["target"]: Path(one["source"]) for one in grafana["volumes"] if one["type"] == "bind"}
    assert mounted["/etc/grafana/provisioning"] == provisioning
    assert mounted[provider["options"]["path"]] == DASHBOARDS
    dashboards = [json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")]
    assert dashboards
    assert len({one["uid"] for one in dashboards}) == len(dashboards)
    asked = set(re.findall(r'"datasource": \{[^}]*"uid": "([^"]+)"', json.dumps(dashboards)))
    chosen = {f"${{{one['name']}}}" for board in dashboards for one in variables(board) if one["type"] == "datasource"}
    assert asked <= chosen | {source["uid"], "grafana", "-- Grafana --"}
    assert grafana["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def variables(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """What can be chosen at a dashboard's head."""
    found: list[dict[str, Any]] = dashboard.get("templating", {}).get("list", [])
    return found
