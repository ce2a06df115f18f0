"""Settings, files and secrets: where they stand, and what a change of them does."""

import json
from collections.abc import Callable

import pytest

from service.settings import Settings, unknown_variables
from tests.chart.rendering import Object, environment, of_kind, pod_specs
from tests.chart.variants import REQUIRED, VARIANTS
from tests.unit.test_chart_settings import SCHEMA

Render = Callable[[str], list[Object]]
Changed = Callable[..., list[Object]]

KEY = "A" * 43 + "="
"""An encryption key by its form."""


def _annotations(objects: list[Object], workload: str) -> dict[str, str]:
    template = of_kind(objects, "Deployment")[f"breakwater-{workload}"]["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("workload", ["gateway", "worker"])
def test_the_service_accepts_what_its_pods_are_told(
    name: str, workload: str, rendered: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable is a setting of the service, and its value one it takes."""
    variables = environment(rendered(name), workload)
    assert unknown_variables(variables) == []
    for variable, value in variables.items():
        if value.startswith("secret:"):
            value = "redis://user:word@redis:6379/0" if variable == "BREAKWATER_REDIS_URL" else KEY
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.encryption_key
    assert settings.base_url.startswith(("http://breakwater.videos.svc", "https://videos.example.com"))


def test_large_and_small_numbers_stay_what_they_are(rendered: Render) -> None:
    """104857600 is not written as 1.048576e+08, nor 0.5 as 0."""
    settings = environment(rendered("everything"), "gateway")
    assert settings["BREAKWATER_MAX_UPLOAD_BYTES"] == "104857600"
    assert settings["BREAKWATER_POLL_SCALE"] == "0.5"


def test_every_setting_of_the_map_reaches_the_pods(changed: Changed) -> None:
    """Whatever setting the schema knows arrives under its name."""
    values: dict[str, object] = {}
    for name, form in SCHEMA["properties"]["settings"]["properties"].items():
        numbers = {"integer", "number"} & set([form["type"]] if isinstance(form["type"], str) else form["type"])
        values[name] = form["enum"][0] if "enum" in form else form.get("maximum", 7) if numbers else "text"
    values |= {"BREAKWATER_CALLBACK_ALLOW": "10.0.0.0/8", "BREAKWATER_UPSTREAM_WEBHOOKS": "off"}
    found = environment(changed(settings=values), "worker")
    assert {name: found[name] for name in values} == {
        name: str(int(value)) if isinstance(value, float) else str(value) for name, value in values.items()
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_no_secret_stands_in_the_open(name: str, rendered: Render) -> None:
    """Secrets are named, never shown: the chart makes none, and no ConfigMap has a password or a key."""
    objects = rendered(name)
    assert of_kind(objects, "Secret") == {}
    for config in of_kind(objects, "ConfigMap").values():
        assert not {"WAVESPEED_API_KEY"} & set(config["data"])
        assert not [key for key in config["data"] if key.endswith(("_KEY", "_TOKEN"))]
        assert "@" not in config["data"].get("BREAKWATER_REDIS_URL", "")
    for workload in ("gateway", "worker"):
        variables = environment(objects, workload)
        assert variables["BREAKWATER_ENCRYPTION_KEY"].startswith("secret:")
        assert "WAVESPEED_API_KEY" not in variables


@pytest.mark.parametrize("name", VARIANTS)
def test_the_upstream_key_is_a_file_that_is_renewed(name: str, rendered: Render) -> None:
    """It is mounted as a directory: Kubernetes never renews a single file that is mounted by subPath."""
    for workload in ("gateway", "worker"):
        pod = pod_specs(rendered(name))[f"Deployment/breakwater-{workload}"]
        [mount] = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "upstream-key"]
        [volume] = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "upstream-key"]
        assert "subPath" not in mount
        [item] = volume["items"]  # only that key: the others are no files
        file = environment(rendered(name), workload)["BREAKWATER_UPSTREAM_KEY_FILE"]
        assert file == f"{mount['mountPath']}/{item['path']}"
        assert volume["defaultMode"] == 0o440


def test_redis_may_come_from_the_secret(rendered: Render) -> None:
    """With a password its URL is the Secret's; with sentinels both are told."""
    large = environment(rendered("values-large"), "worker")
    assert large["BREAKWATER_REDIS_URL"] == "secret:redis-url"
    assert large["BREAKWATER_REDIS_SENTINELS"].count(":26379") == 3
    assert large["BREAKWATER_REDIS_MASTER"] == "videos"
    assert environment(rendered("required"), "worker")["BREAKWATER_REDIS_URL"] == "redis://redis.example.com:6379/0"
    assert "BREAKWATER_REDIS_URL" not in environment(rendered("sentinels"), "worker")


def test_a_changed_setting_rolls_the_pods(changed: Changed) -> None:
    """What is read at start only changes an annotation of the pods that read it."""
    before = changed()
    after = changed(settings={"BREAKWATER_LOG_LEVEL": "debug"})
    for workload in ("gateway", "worker"):
        assert _annotations(before, workload) != _annotations(after, workload)
        assert _annotations(before, workload) == _annotations(changed(), workload)
    tenants = changed(tenants={"content": '[tenants.acme]\nname = "Acme"\n'})
    assert _annotations(before, "gateway") != _annotations(tenants, "gateway")
    assert _annotations(before, "worker") == _annotations(tenants, "worker")
    keys = changed(existingSecret={"name": "secrets", "revision": "2"})
    assert _annotations(before, "worker") != _annotations(keys, "worker")


@pytest.mark.parametrize(("name", "source"), [("everything", "breakwater"), ("files-elsewhere", "our")])
def test_files_are_where_the_settings_say(name: str, source: str, rendered: Render) -> None:
    """Models are mounted for both, tenants for the gateway, which applies them."""
    objects = rendered(name)
    for workload, files in {"gateway": ("models", "tenants"), "worker": ("models",)}.items():
        pod = pod_specs(objects)[f"Deployment/breakwater-{workload}"]
        variables = environment(objects, workload)
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert set(volumes) == {"tmp", "upstream-key", *files}
        for file in files:
            path = variables[f"BREAKWATER_{file.upper()}_FILE"]
            assert path.startswith(mounts[file] + "/")
            config = volumes[file]["configMap"]["name"]
            assert config == f"{source}-{file}"
            if source == "breakwater":
                text = of_kind(objects, "ConfigMap")[config]["data"][path.rpartition("/")[2]]
                assert text == (VARIANTS[name].values or {})[file]["content"]


def test_trust_is_the_company_s(rendered: Render) -> None:
    """Gateway, worker and check find the certificates of a ConfigMap where OpenSSL looks for them; unset, none does."""
    objects = rendered("internet-callbacks")
    for who in ("Deployment/breakwater-gateway", "Deployment/breakwater-worker", "Job/breakwater-check"):
        pod = pod_specs(objects)[who]
        [container] = pod["containers"]
        [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "trust"]
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == "trust"]
        assert volume["configMap"] == {"name": "our-trust"}
        assert mount["readOnly"] is True
        assert "subPath" not in mount
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert variables["SSL_CERT_FILE"] == f"{mount['mountPath']}/bundle.pem"
    assert "SSL_CERT_FILE" not in environment(rendered("required"), "gateway")


def test_the_check_runs_before_anything_changes(rendered: Render) -> None:
    """The Job comes with its settings and its way to Redis, all as hooks, and asks what gateway and worker would."""
    objects = rendered("values-small")
    job = of_kind(objects, "Job")["breakwater-check"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["check"]
    config = of_kind(objects, "ConfigMap")
    assert config["breakwater-check"]["data"] == config["breakwater"]["data"]
    for thing in (job, config["breakwater-check"], of_kind(objects, "NetworkPolicy")["breakwater-check"]):
        assert thing["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # Nothing it needs is an object of the release, which is not there yet.
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "default"
    names = [source["configMapRef"]["name"] for source in container["envFrom"]]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    names += [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    assert names == ["breakwater-check"]


def test_the_check_brings_its_files(rendered: Render) -> None:
    """Models and tenants of the values are hooks beside it; ConfigMaps of others are there already."""
    for name, prefix in (("everything", "breakwater-check"), ("files-elsewhere", "our")):
        objects = rendered(name)
        volumes = of_kind(objects, "Job")["breakwater-check"]["spec"]["template"]["spec"]["volumes"]
        named = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
        assert named == {f"{prefix}-models", f"{prefix}-tenants"}
        for config in of_kind(objects, "ConfigMap").values():
            if config["metadata"]["name"] in named:
                assert "pre-install" in config["metadata"]["annotations"]["helm.sh/hook"]


def test_required_values_are_few() -> None:
    """Who installs it must say where the Secret and Redis are, and nothing else."""
    assert set(REQUIRED) == {"existingSecret", "redis", "networkPolicy"}
    assert json.dumps(REQUIRED).count("redis") == 4
