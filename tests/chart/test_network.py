"""What the network policies let through, and what not."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
import yaml

from service.domain.callback_address import CallbackPolicy
from tests.chart.rendering import Helm, Object, of_kind, pod_specs
from tests.chart.variants import CHART, CONTROLLER, PROMETHEUS, REQUIRED, VARIANTS, Variant, network

Render = Callable[[str], list[Object]]
Changed = Callable[..., list[Object]]

CLOUD_METADATA = "169.254.169.254"
PUBLIC = "203.0.113.9"


def _blocks(policy: Object, port: int | None = None) -> list[Object]:
    """The address blocks that egress rules open to TCP connections, to one port or, with None, to any."""
    return [
        peer["ipBlock"]
        for rule in policy["spec"].get("egress", [])
        if any(port in (None, entry.get("port", port)) for entry in rule["ports"] if entry["protocol"] == "TCP")
        for peer in rule["to"]
        if "ipBlock" in peer
    ]


def _reaches(policy: Object, address: str, port: int | None) -> bool:
    """Whether some egress rule lets a TCP connection to an address through."""
    wanted = ip_address(address)
    return any(
        wanted in ip_network(block["cidr"]) and not any(wanted in ip_network(no) for no in block.get("except", ()))
        for block in _blocks(policy, port)
    )


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


@pytest.mark.parametrize("name", VARIANTS)
def test_exceptions_lie_inside(name: str, rendered: Render) -> None:
    """The API server refuses an exception that is not a part of its block, or that is all of it."""
    for policy in of_kind(rendered(name), "NetworkPolicy").values():
        for block in _blocks(policy):
            for exception in map(ip_network, block.get("except", ())):
                whole = ip_network(block["cidr"])
                assert isinstance(exception, type(whole))
                assert exception != whole
                assert exception.subnet_of(whole)  # type: ignore[arg-type] # of one version, as was just asserted


@pytest.mark.parametrize("name", VARIANTS)
def test_no_policy_opens_a_cloud_s_metadata(name: str, rendered: Render) -> None:
    """Whatever callbacks may reach, and whatever is excepted: not where a machine's credentials are, on any port."""
    for policy in of_kind(rendered(name), "NetworkPolicy").values():
        for address in (CLOUD_METADATA, "fd00:ec2::254"):
            assert not _reaches(policy, address, None)


ALLOW_LISTS = [
    "10.20.0.0/16,10.21.0.0/16",
    "10.20.0.0/16 10.21.0.0/16",
    " 10.20.0.0/16 ,\n http:10.9.9.9\tHTTP:10.22.0.0/16, ",
    "10.9.9.9 fd00:20::7 http:fd00:21::/64,2001:DB8::/32",
    "169.254.0.0/16 169.254.7.0/24 fd00:ec2::/32 168.0.0.0/8 160.0.0.0/5",
]
"""Lists of networks and addresses in every form the service takes."""


@pytest.mark.parametrize("text", ALLOW_LISTS)
def test_the_allow_list_is_read_as_the_service_reads_it(text: str, changed: Changed) -> None:
    """Each network and address of it is open for the worker, and no other."""
    worker = _policy(changed(settings={"BREAKWATER_CALLBACK_ALLOW": text}), "worker")
    [rule] = [rule for rule in worker["spec"]["egress"] if rule["ports"] == [{"protocol": "TCP"}]]
    opened: set[IPv4Network | IPv6Network] = {ip_network(peer["ipBlock"]["cidr"]) for peer in rule["to"]}
    assert opened == set(CallbackPolicy.parse(text).allowed.networks)


@pytest.mark.parametrize(
    "entry",
    ["0.0.0.0/0", "::/0", "128.0.0.0/1", "169.0.0.0/8", "169.254.0.0/15", "::ffff:0:0/96", "fc00::/7", "fd00::/16"],
)
def test_what_holds_more_than_callbacks_is_not_opened(entry: str, helm: Helm) -> None:
    """A range around a cloud's metadata opens nothing by itself: it has to be said where receivers are, exactly."""
    assert CallbackPolicy.parse(entry).allowed.networks
    values = {**REQUIRED, "settings": {"BREAKWATER_CALLBACK_ALLOW": f"10.20.0.0/16 {entry}"}}
    assert f"no policy is made of {entry} in" in helm.refusal(Variant(values=values))
    values["networkPolicy"] = network(callbacks={"cidrs": [entry]})
    assert f"networkPolicy.egress.callbacks.cidrs: {entry} holds" in helm.refusal(Variant(values=values))
    values["networkPolicy"] = network(callbacks={"to": [{"podSelector": {}}]})
    worker = _policy(helm.objects(Variant(values=values)), "worker")
    [rule] = [rule for rule in worker["spec"]["egress"] if rule["ports"] == [{"protocol": "TCP"}]]
    assert rule["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}, {"podSelector": {}}]


@pytest.mark.parametrize("name", ["values-small", "values-large"])
def test_names_on_the_list_have_receivers(name: str, rendered: Render) -> None:
    """Production's list has the cluster's names, and its policy the pods these lead to; the gateway reaches none."""
    peer: Object = {"namespaceSelector": {"matchLabels": {"breakwater-callbacks": "true"}}}
    assert "*.svc" in of_kind(rendered(name), "ConfigMap")["breakwater"]["data"]["BREAKWATER_CALLBACK_ALLOW"]
    worker, gateway = (_policy(rendered(name), who)["spec"]["egress"] for who in ("worker", "gateway"))
    assert [rule["ports"] for rule in worker if peer in rule["to"]] == [[{"protocol": "TCP"}]]
    assert not [rule for rule in gateway if peer in rule["to"]]


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
        by_url = _policy(rendered("internet-callbacks"), workload)
        assert _reaches(by_url, "10.30.0.10", 6380)
        assert not _reaches(by_url, "10.30.0.10", 6379)


def test_names_are_resolved(rendered: Render) -> None:
    """Both ask the cluster's name servers, by UDP and TCP, and nobody else."""
    for workload in ("gateway", "worker", "test"):
        rules = _policy(rendered("required"), workload)["spec"]["egress"]
        [dns] = [rule for rule in rules if {"protocol": "UDP", "port": 53} in rule["ports"]]
        assert {"protocol": "TCP", "port": 53} in dns["ports"]
        assert dns["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]


def test_names_are_resolved_elsewhere(helm: Helm) -> None:
    """What the documentation says for OpenShift and NodeLocal DNSCache opens those name servers, on their port."""
    text = (CHART.parents[2] / "docs/kubernetes.md").read_text()
    shown = [yaml.safe_load(block) for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", text)]
    found = []
    for values in shown:
        if "networkPolicy" in values:
            egress = {**REQUIRED["networkPolicy"]["egress"], **values["networkPolicy"]["egress"]}
            objects = helm.objects(Variant(values={**REQUIRED, **values, "networkPolicy": {"egress": egress}}))
            found += [
                (peer, port["port"])
                for rule in _policy(objects, "worker")["spec"]["egress"]
                for peer in rule["to"]
                for port in rule["ports"]
                if port["protocol"] == "UDP"
            ]
    assert ({"ipBlock": {"cidr": "169.254.20.10/32"}}, 53) in found
    assert ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}, 5353) in found


def test_callbacks_to_pods(rendered: Render) -> None:
    """Host patterns of the cluster are opened by selectors, for the worker alone."""
    peer: Object = {"namespaceSelector": {}}
    worker = _policy(rendered("pod-callbacks"), "worker")["spec"]["egress"]
    assert [rule["ports"] for rule in worker if rule["to"] == [peer]] == [[{"protocol": "TCP", "port": 8080}]]
    gateway = _policy(rendered("pod-callbacks"), "gateway")["spec"]["egress"]
    assert not [rule for rule in gateway if peer in rule["to"]]


def test_who_may_come_in(rendered: Render) -> None:
    """The gateway is reached from where it is said, the worker from where metrics are read; nothing else is."""
    [gateway] = _policy(rendered("values-small"), "gateway")["spec"]["ingress"]
    assert gateway["from"][1:] == [CONTROLLER, PROMETHEUS]
    assert gateway["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    [worker] = _policy(rendered("values-small"), "worker")["spec"]["ingress"]
    assert worker["from"] == [PROMETHEUS]
    assert "ingress" not in _policy(rendered("required"), "worker")["spec"]
    for name in ("gateway", "worker"):
        container = pod_specs(rendered("values-small"))[f"Deployment/breakwater-{name}"]["containers"][0]
        assert container["ports"][0]["name"] == "http"
    assert gateway["ports"] == worker["ports"] == [{"protocol": "TCP", "port": "http"}]


def test_nobody_named_is_nobody(changed: Changed) -> None:
    """An empty list of callers lets in the test pod alone: in a policy it would mean everybody."""
    policy = network({"gatewayFrom": [], "monitoringFrom": []})
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
