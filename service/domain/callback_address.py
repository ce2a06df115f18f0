"""Where a callback may go: an allow-list decides.

Callbacks go to internal teams, so private networks cannot simply be shut out. Instead nothing is allowed that the list
does not name, and some ranges (loopback, link-local, cloud metadata, multicast, ...) are shut even to the names on it,
however an address is written. A name says nothing about where it leads, so a decision has two parts:
`CallbackPolicy.check_url` before anything is resolved, `CallbackPolicy.check_address` for each address that came of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from service.domain.callback_url import NUMBER, Address, CallbackTarget, read_host, read_url, shown
from service.domain.errors import CallbackDenied, FieldError, InvalidInput

Network = IPv4Network | IPv6Network

SETTING: Final = "BREAKWATER_CALLBACK_ALLOW"
"""The setting that holds the global list."""

MAX_ENTRIES: Final = 256
"""Most entries a list may have: each may be looked at for each callback."""

ALWAYS_DENIED: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ip_network(network), kind)
    for kind, networks in {
        "cloud metadata": "169.254.169.254 100.100.100.200 192.0.0.192 168.63.129.16 fd00:ec2::/32 fd20:ce::254",
        "loopback": "127.0.0.0/8 ::1",
        "link-local": "169.254.0.0/16 fe80::/10",
        "unspecified": "0.0.0.0/8 ::",
        "multicast": "224.0.0.0/4 ff00::/8",
        "broadcast": "255.255.255.255",
        "reserved": "240.0.0.0/4",
    }.items()
    for network in networks.split()
)
"""Ranges no name on a list leads to. Only the global list opens one, by a network that lies within it."""

_V4_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")


@dataclass(frozen=True, slots=True)
class _HostPattern:
    """`name` itself, or with `below` every name under it; `plain` when marked for http."""

    name: str
    below: bool
    plain: bool

    def matches(self, host: str) -> bool:
        return host.endswith("." + self.name) if self.below else host == self.name


@dataclass(frozen=True, slots=True)
class _AllowList:
    """One list, parsed. `opened` are the global list's networks that lie within an always-denied range."""

    hosts: tuple[_HostPattern, ...] = ()
    networks: tuple[Network, ...] = ()
    opened: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class CallbackPolicy:
    """The allow-list that holds for one tenant, and what is shut whatever the list says.

    `source` names that list, `opened_by` the one that alone can open what is always denied.

    Entries are separated by commas or whitespace: networks (`10.20.0.0/16`), addresses, host names, and
    `*.svc.cluster.local` for every name below one. Plain http goes to networks, and to names marked `http:`.
    """

    source: str
    allowed: _AllowList
    own: frozenset[tuple[str, int]]
    opened_by: str
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """A policy is looked up with every callback, and a list may be long: hashing it once is enough."""
        object.__setattr__(self, "_hash", hash((self.source, self.allowed, self.own)))

    def __hash__(self) -> int:
        return self._hash

    @classmethod
    def parse(cls, text: str, own: frozenset[tuple[str, int]] = frozenset(), source: str = SETTING) -> "CallbackPolicy":
        """Read the global list; `own` are the hosts and ports of the gateway's own Redis, `source` the list's name.

        Raises `ValueError` naming the entry that is wrong.
        """
        return cls(source, _parse_list(text), frozenset((_own_host(host), port) for host, port in own), source)

    def replaced_by(self, tenant_list: str | None) -> "CallbackPolicy":
        """Return the policy of a tenant with a list of its own, or this one when it has none (None).

        Where it lets callbacks go is all its own; which always-denied ranges are open stays the global list's decision.
        Raises `InvalidInput` when the list does not parse or names an always-denied range.
        """
        return self if tenant_list is None else _replaced(self, tenant_list)

    def check_url(self, url: str) -> CallbackTarget:
        """Read `url` and decide as far as is possible without resolving its host.

        Raises `CallbackDenied` for a URL that is malformed or can be read in two ways, and for one the list rules out.
        """
        return _checked_url(self, url)

    def _check_url(self, url: str) -> CallbackTarget:
        target = read_url(url)
        if not self.allowed.hosts and not self.allowed.networks:
            raise CallbackDenied(f"nothing is allowed: {self.source} is empty; name the hosts or networks there")
        if (target.host, target.port) in self.own:
            raise CallbackDenied(f"{shown(target.host)} port {target.port} is the gateway's own Redis, always denied")
        if target.address is not None:
            self._check(target, target.address)
        elif not self.allowed.networks and not self._allows_name(target):
            raise self._not_allowed(target, f"host {shown(target.host)}")
        return target

    def check_address(self, target: CallbackTarget, address: str) -> None:
        """Decide on one address that `target` resolved to, or that a socket is really connected to.

        Every address must pass, not just one of them. Raises `CallbackDenied`.
        """
        if "%" in address:
            raise CallbackDenied(f"address {shown(address)} has a scope id, so it is link-local: always denied")
        try:
            parsed = ip_address(address)
        except ValueError:
            raise CallbackDenied(f"{shown(address)} is not an IP address") from None
        self._check(target, parsed)

    def _check(self, target: CallbackTarget, address: Address) -> None:
        # The kernel sends to a mapped address by IPv4, so it is one; `::/0` on a list does not stand for all IPv4.
        address = _unmapped(address)
        for reading in (address, *_embedded(address)):
            if any((name, target.port) in self.own for name in _own_names(reading)):
                raise CallbackDenied(f"{address} port {target.port} is the gateway's own Redis, always denied")
            for network, kind in ALWAYS_DENIED:
                if reading in network and not any(reading in it and _within(it, network) for it in self.allowed.opened):
                    raise CallbackDenied(
                        f"{address} is a {kind} address ({network}), always denied unless {self.opened_by} names it"
                        + ("" if reading is address else f": it embeds {reading}")
                    )
        if not any(address in network for network in self.allowed.networks) and not self._allows_name(target):
            raise self._not_allowed(target, f"address {address}")

    def _allows_name(self, target: CallbackTarget) -> bool:
        secure = target.scheme == "https"
        return any((secure or host.plain) and host.matches(target.host) for host in self.allowed.hosts)

    def _not_allowed(self, target: CallbackTarget, what: str) -> CallbackDenied:
        """Say which of the two is missing: an entry, or the mark for plain http on one that is there."""
        if any(host.matches(target.host) for host in self.allowed.hosts):
            return CallbackDenied(f"{what} is allowed for https only: {self.source} has no http: mark for it")
        return CallbackDenied(f"{what} is not in {self.source}")


@lru_cache(maxsize=1024)  # asked for at every submission and every delivery
def _parse_list(text: str) -> _AllowList:
    entries = text.replace(",", " ").split()
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"{len(entries)} entries; at most {MAX_ENTRIES} are allowed")
    hosts: list[_HostPattern] = []
    networks: list[Network] = []
    for entry in entries:
        plain = entry[:5].lower() == "http:"
        name = entry[5:] if plain else entry
        try:
            if ":" in name or "/" in name or NUMBER.fullmatch(name.rpartition(".")[2]):
                networks.append(_parse_network(name))
            else:
                host, literal = read_host(name.removeprefix("*."))
                if literal is not None:  # "127.1" and the like, once IDNA has had its say
                    raise ValueError("write the address as four decimal numbers")
                hosts.append(_HostPattern(host, name.startswith("*."), plain))
        except ValueError as wrong:
            raise ValueError(f"entry {shown(entry)} is no network, address or host pattern: {wrong}") from None
    opened = tuple(it for it in networks if any(_within(it, denied) for denied, _ in ALWAYS_DENIED))
    return _AllowList(tuple(hosts), tuple(networks), opened)


def _parse_network(text: str) -> Network:
    if "%" in text:
        raise ValueError("scope ids are not allowed")
    network = ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _unmapped(address: Address) -> Address:
    return getattr(address, "ipv4_mapped", None) or address


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that a translator or tunnel would make of an IPv6 one."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    low = number & 0xFFFFFFFF
    if (
        (address in _V4_COMPATIBLE and low > 1) or address in _NAT64 or address in _TRANSLATED
    ):  # :: and ::1 embed nothing
        yield IPv4Address(low)
    elif address in _NAT64_LOCAL:
        # RFC 6052 splits the address around bits 64 to 71 under a /48 and then ends in zeros; a /96 has it at the end.
        split = ((number >> 64 & 0xFFFF) << 16) | (number >> 40 & 0xFFFF)
        yield IPv4Address(low if number & 0xFFFFFFFFFF else split)
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo


def _own_host(host: str) -> str:
    """Write a host of our own as `_own_names` does; loopback in any form is one machine, whatever Redis is bound to."""
    bare = host.removeprefix("[").removesuffix("]").lower().removesuffix(".")
    try:
        return list(_own_names(_unmapped(ip_address(bare))))[-1]
    except ValueError:
        return bare


def _own_names(address: Address) -> Iterator[str]:
    yield str(address)
    if address.is_loopback or address.is_unspecified:
        yield "localhost"


def _within(inner: Network, outer: Network) -> bool:
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


@lru_cache(4_096)
def _checked_url(policy: CallbackPolicy, url: str) -> CallbackTarget:
    """What a policy says of a URL is always the same; a refusal is not remembered."""
    return policy._check_url(url)


@lru_cache(1_024)
def _replaced(policy: CallbackPolicy, tenant_list: str) -> CallbackPolicy:
    """A tenant's policy, read once: it is the same one for each of its callbacks."""
    try:
        allowed = _parse_list(tenant_list)
    except ValueError as wrong:
        raise InvalidInput([FieldError("callback_allow", str(wrong))]) from None
    if allowed.opened:
        text = f"{allowed.opened[0]} is in a range that only {policy.opened_by} can open"
        raise InvalidInput([FieldError("callback_allow", text)])
    allowed = replace(allowed, opened=policy.allowed.opened)
    return CallbackPolicy("the tenant's callback_allow", allowed, policy.own, policy.opened_by)
