"""What the network policies let through, and what not."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest

from tests.chart.rendering import Object, of_kind, pod_specs
from tests.chart.variants import VARIANTS

Render = Callable[[str], list[Object]]
Changed = Callable[..., list[Object]]

CLOUD_METADATA = "169.254.169.254"
PUBLIC = "203.0.113.9"


def _reaches(policy: Object, address: str, port: int) -> bool:
    """Whether some egress rule lets a TCP connection to an address through."""
    wanted = ip_address(address)
    for rule in policy["spec"]["egress"]:
        ports = [entry.get("port", port) for entry in rule["ports"] if entry["protocol"] == "TCP"]
        blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
        for block in blocks:
            inside = wanted in ip_network(block["cidr"])
            if inside and port in ports and not any(wanted in ip_network(no) for no in block.get("except", ())):
                return True
    return False


def _policy(objects: list[Object], name: str) -> Object:
    return of_kind(objects, "NetworkPolicy")[f"breakwater-{name}"]


def _open_to_all(policy: Object) -> bool:
    """Whether a rule names nobody, which means everybody."""
    spec = policy["spec"]
    rules = [rule.get("from") for rule in spec.get("ingress", [])] + [rule.get("to") for rule in spec.get("egress", [])]
    return any(not peers for peers in rules)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "bare"])
def test_every_pod_starts_with_nothing(name: str, rendered: Render) -> None:
    """One policy closes every pod of the release both ways, and none of the others is open to everybody."""
    objects = rendered(name)
    closed = _policy(objects, "nothing")["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(closed)
    for thing in objects:
        if thing["kind"] in ("Deployment", "Job"):
            labels = thing["spec"]["template"]["metadata"]["labels"]
            assert closed["podSelector"]["matchLabels"].items() <= labels.items()
    for policy in of_kind(objects, "NetworkPolicy").values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert not _open_to_all(policy)
        for rule in policy["spec"].get("egress", []):
            assert rule["ports"]


def test_without_policies_there_are_none(rendered: Render) -> None:
    """Whoever has others switches them off whole."""
    assert of_kind(rendered("bare"), "NetworkPolicy") == {}


@pytest.mark.parametrize("name", ["values-small", "values-large", "everything"])
def test_callbacks_are_the_worker_s(name: str, rendered: Render) -> None:
    """The allowed ranges are open for the worker, on any port, and closed for the gateway, on every port."""
    gateway, worker = _policy(rendered(name), "gateway"), _policy(rendered(name), "worker")
    for port in (443, 8080):
        assert _reaches(worker, "10.20.1.2", port)
        assert not _reaches(gateway, "10.20.1.2", port)
    assert not _reaches(worker, "10.99.1.2", 443)


def test_a_public_callback_range_is_closed_to_the_gateway(changed: Changed) -> None:
    """Also where it lies among the public addresses that WaveSpeed is at."""
    objects = changed(settings={"BREAKWATER_CALLBACK_ALLOW": "203.0.113.0/24,2001:db8:7::/48"})
    gateway, worker = _policy(objects, "gateway"), _policy(objects, "worker")
    for address in (PUBLIC, "2001:db8:7::1"):
        assert _reaches(worker, address, 8443)
        assert not _reaches(gateway, address, 443)
    assert _reaches(gateway, "198.51.100.1", 443)
    assert _reaches(gateway, "2001:db8:8::1", 443)


@pytest.mark.parametrize("name", ["values-small", "values-large", "required"])
def test_both_reach_wavespeed_and_nothing_inside(name: str, rendered: Render) -> None:
    """Public addresses on 443, where WaveSpeed and its outputs are; never private ones, nor a cloud's metadata."""
    for workload in ("gateway", "worker"):
        policy = _policy(rendered(name), workload)
        assert _reaches(policy, PUBLIC, 443)
        assert not _reaches(policy, PUBLIC, 80)
        assert _reaches(policy, "2001:db8::1", 443)
        for closed in (CLOUD_METADATA, "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "fe80::1"):
            assert not _reaches(policy, closed, 443)


def test_redis_is_reached_where_it_is(rendered: Render) -> None:
    """By address or by selector, on its port, and on the sentinels' ports where there are any."""
    for workload in ("gateway", "worker"):
        assert _reaches(_policy(rendered("values-small"), workload), "10.30.0.10", 6379)
        assert not _reaches(_policy(rendered("values-small"), workload), "10.30.0.11", 6379)
        sentinels = _policy(rendered("sentinels"), workload)
        assert all(_reaches(sentinels, "10.30.0.10", port) for port in (6379, 26379, 26380))
        rules = _policy(rendered("pod-callbacks"), workload)["spec"]["egress"]
        [redis] = [rule for rule in rules if {"podSelector": {"matchLabels": {"app": "redis"}}} in rule["to"]]
        assert redis["ports"] == [{"protocol": "TCP", "port": 6380}]


def test_names_are_resolved(rendered: Render) -> None:
    """Both ask the cluster's name servers, by UDP and TCP, and nobody else."""
    for workload in ("gateway", "worker", "test"):
        rules = _policy(rendered("required"), workload)["spec"]["egress"]
        [dns] = [rule for rule in rules if {"protocol": "UDP", "port": 53} in rule["ports"]]
        assert {"protocol": "TCP", "port": 53} in dns["ports"]
        assert dns["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]


def test_callbacks_to_pods(rendered: Render) -> None:
    """Host patterns of the cluster are opened by selectors, for the worker alone."""
    peer: Object = {"namespaceSelector": {}}
    worker = _policy(rendered("pod-callbacks"), "worker")["spec"]["egress"]
    assert [rule["ports"] for rule in worker if rule["to"] == [peer]] == [[{"protocol": "TCP", "port": 8080}]]
    gateway = _policy(rendered("pod-callbacks"), "gateway")["spec"]["egress"]
    assert not [rule for rule in gateway if peer in rule["to"]]


def test_who_may_come_in(rendered: Render) -> None:
    """The gateway is reached from where it is said, the worker from where metrics are read; nothing else is."""
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    [gateway] = _policy(rendered("values-small"), "gateway")["spec"]["ingress"]
    assert gateway["from"][1:] == [ingress, monitoring]
    assert gateway["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    [worker] = _policy(rendered("values-small"), "worker")["spec"]["ingress"]
    assert worker["from"] == [monitoring]
    assert "ingress" not in _policy(rendered("required"), "worker")["spec"]
    for name in ("gateway", "worker"):
        container = pod_specs(rendered("values-small"))[f"Deployment/breakwater-{name}"]["containers"][0]
        assert container["ports"][0]["name"] == "http"
    assert gateway["ports"] == worker["ports"] == [{"protocol": "TCP", "port": "http"}]


def test_nobody_named_is_nobody(changed: Changed) -> None:
    """An empty list of callers lets in the test pod alone: in a policy it would mean everybody."""
    required = VARIANTS["required"].values or {}
    policy = {**required["networkPolicy"], "ingress": {"gatewayFrom": [], "monitoringFrom": []}}
    [rule] = _policy(changed(networkPolicy=policy), "gateway")["spec"]["ingress"]
    assert len(rule["from"]) == 1


def test_the_check_reaches_what_the_gateway_reaches(rendered: Render) -> None:
    """A check that could not see Redis or WaveSpeed would find nothing but that."""
    check, gateway = (_policy(rendered("values-small"), name)["spec"]["egress"] for name in ("check", "gateway"))
    assert check == gateway


def test_development_stays_inside(rendered: Render) -> None:
    """With Redis and simulator in the release no pod of it reaches anything outside; only its own pods reach those."""
    policies = of_kind(rendered("values-dev"), "NetworkPolicy")
    for policy in policies.values():
        for rule in policy["spec"].get("egress", []):
            assert not [peer for peer in rule["to"] if "ipBlock" in peer]
    for name, port in (("redis", 6379), ("simulator", 8081)):
        [rule] = policies[f"breakwater-{name}"]["spec"]["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": port}]
        [peer] = rule["from"]
        assert peer["podSelector"]["matchExpressions"][0]["values"] == ["gateway", "worker", "check"]
