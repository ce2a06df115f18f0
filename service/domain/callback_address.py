"""Where a callback may go: reading a callback URL the one strict way, and deciding by an allow-list.

Callbacks go to internal teams, so private networks cannot simply be shut out. Instead nothing is allowed that the list
does not name, and some ranges (loopback, link-local, cloud metadata, multicast, ...) are shut even to the names on it,
however an address is written. A name says nothing about where it leads, so a decision has two parts:
`CallbackPolicy.check_url` before anything is resolved, `CallbackPolicy.check_address` for each address that came of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import idna

from service.domain.errors import CallbackDenied, FieldError, InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SETTING: Final = "BREAKWATER_CALLBACK_ALLOW"
"""The setting that holds the global list."""

MAX_URL: Final = 2048
"""Longest callback URL, in characters."""

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

_URL = re.compile(r"(https?)://([^/?]*)(.*)", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # Compose service names have underscores
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as the last label it makes the whole host an IPv4 address, or nothing
_IPV4_PART = re.compile(r"[1-9][0-9]*|0[0-7]*|0x[0-9a-f]*")

_V4_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """A callback URL that was read and found allowed so far; call this `url`, not the text it came from.

    `url` has `host` as its host, so that nothing downstream can read the original differently. `host` is lower-case
    ASCII without a trailing dot, an IPv6 address without brackets. `address` is set when the host is a literal.
    """

    url: str
    scheme: str
    host: str
    port: int
    address: Address | None


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
    """One list, parsed. `opened` are its networks that lie within an always-denied range: none in a tenant's list."""

    hosts: tuple[_HostPattern, ...] = ()
    networks: tuple[Network, ...] = ()
    opened: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class CallbackPolicy:
    """The allow-list that holds for one tenant, and what is shut whatever the list says.

    Entries are separated by commas or whitespace: networks (`10.20.0.0/16`), addresses, host names, and
    `*.svc.cluster.local` for every name below one. Plain http goes to networks, and to names marked `http:`.
    """

    source: str
    allowed: _AllowList
    own: frozenset[tuple[str, int]]

    @classmethod
    def parse(cls, text: str, own: frozenset[tuple[str, int]] = frozenset()) -> "CallbackPolicy":
        """Read the global list; `own` are the hosts and ports of the gateway's own Redis.

        Raises `ValueError` naming the entry that is wrong.
        """
        return cls(SETTING, _parse_list(text), frozenset((_own_host(host), port) for host, port in own))

    def replaced_by(self, tenant_list: str | None) -> "CallbackPolicy":
        """Return the policy of a tenant with a list of its own, or this one when it has none (None).

        Nothing of the global list is left, so an always-denied range that list opens is shut for this tenant.
        Raises `InvalidInput` when the list does not parse or names an always-denied range.
        """
        if tenant_list is None:
            return self
        try:
            allowed = _parse_list(tenant_list)
        except ValueError as wrong:
            raise InvalidInput([FieldError("callback_allow", str(wrong))]) from None
        if allowed.opened:
            text = f"{allowed.opened[0]} is in a range that only {SETTING} can open"
            raise InvalidInput([FieldError("callback_allow", text)])
        return CallbackPolicy("the tenant's callback_allow", allowed, self.own)

    def check_url(self, url: str) -> CallbackTarget:
        """Read `url` and decide as far as is possible without resolving its host.

        Raises `CallbackDenied` for a URL that is malformed or can be read in two ways, and for one the list rules out.
        """
        target = _read_url(url)
        if not self.allowed.hosts and not self.allowed.networks:
            raise CallbackDenied(f"no callbacks are allowed: {self.source} is empty; name the hosts or networks there")
        if (target.host, target.port) in self.own:
            raise CallbackDenied(f"{_shown(target.host)} port {target.port} is the gateway's own Redis, always denied")
        if target.address is not None:
            self._check(target, target.address)
        elif not self.allowed.networks and not self._allows_name(target):
            raise self._not_allowed(target, f"host {_shown(target.host)}")
        return target

    def check_address(self, target: CallbackTarget, address: str) -> None:
        """Decide on one address that `target` resolved to, or that a socket is really connected to.

        Every address must pass, not just one of them. Raises `CallbackDenied`.
        """
        if "%" in address:
            raise CallbackDenied(f"address {_shown(address)} has a scope id, so it is link-local: always denied")
        try:
            parsed = ip_address(address)
        except ValueError:
            raise CallbackDenied(f"{_shown(address)} is not an IP address") from None
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
                        f"{address} is a {kind} address ({network}), always denied unless {SETTING} names it"
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
            if ":" in name or "/" in name or _NUMBER.fullmatch(name.rpartition(".")[2]):
                networks.append(_parse_network(name))
            else:
                host, literal = _read_host(name.removeprefix("*."))
                if literal is not None:  # "127.1" and the like, once IDNA has had its say
                    raise ValueError("write the address as four decimal numbers")
                hosts.append(_HostPattern(host, name.startswith("*."), plain))
        except ValueError as wrong:
            raise ValueError(f"entry {_shown(entry)} is no network, address or host pattern: {wrong}") from None
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


def _read_url(url: str) -> CallbackTarget:
    """Read what every parser reads alike, and refuse the rest."""
    if len(url) > MAX_URL:
        raise CallbackDenied(f"the callback URL is longer than {MAX_URL} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise CallbackDenied("the callback URL has whitespace, a control character or a backslash in it")
    if "#" in url:
        raise CallbackDenied("the callback URL has a fragment (#...), which is never sent")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise CallbackDenied("the callback URL must begin with https:// or http://")
    scheme, authority, rest = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise CallbackDenied("the callback URL has a user name or password (@) before its host")
    if "%" in authority:
        raise CallbackDenied("the callback URL's host has a % in it: no percent-encoding, no scope id")
    where = _AUTHORITY.fullmatch(authority)
    if where is None:
        raise CallbackDenied(f"cannot read {_shown(authority)} as host and port")
    default = 443 if scheme == "https" else 80
    port = default if where[3] is None else int(where[3])
    if not 1 <= port <= 65535:
        raise CallbackDenied(f"the callback URL's port {port} is not between 1 and 65535")
    address: Address | None
    try:
        if where[1] is not None:
            address = IPv6Address(where[1])
            host = str(address)
        else:
            host, address = _read_host(where[2])
    except ValueError as wrong:
        raise CallbackDenied(f"the callback URL's host {_shown(authority)}: {wrong}") from None
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == default else f":{port}"
    path = rest if rest.startswith("/") else "/" + rest
    return CallbackTarget(f"{scheme}://{shown_host}{shown_port}{path}", scheme, host, port, address)


def _read_host(text: str) -> tuple[str, IPv4Address | None]:
    """Normalise a host and say which IPv4 address it spells, if it does. Raises `ValueError`."""
    host = text.lower() if text.isascii() else text
    if len(host) > 254:
        raise ValueError("longer than 253 characters")
    if not host.isascii() or "xn--" in host:
        host = idna.encode(host, uts46=True).decode()  # fullwidth digits and ideographic full stops end here
    host = host.removesuffix(".")
    if len(host) > 253:
        raise ValueError("longer than 253 characters")
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name (labels of 1 to 63 letters, digits, - and _)")
    if not _NUMBER.fullmatch(labels[-1]):
        return host, None
    address = _read_ipv4(labels)
    return str(address), address


def _read_ipv4(labels: list[str]) -> IPv4Address:
    """Read one to four decimal, octal (0...) or hex (0x...) numbers as inet_aton does: the last fills what is left."""
    if len(labels) > 4 or not all(_IPV4_PART.fullmatch(label) for label in labels):
        raise ValueError("ends like an IPv4 address and is none")
    numbers = [
        int(label[2:] or "0", 16) if label[:2] == "0x" else int(label, 8 if label[0] == "0" else 10) for label in labels
    ]
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        raise ValueError("ends like an IPv4 address and has a number out of range")
    return IPv4Address(last + sum(number << (24 - 8 * place) for place, number in enumerate(first)))


def _unmapped(address: Address) -> Address:
    return getattr(address, "ipv4_mapped", None) or address


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that a translator or tunnel would make of an IPv6 one."""
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    low = number & 0xFFFFFFFF
    if (address in _V4_COMPATIBLE and low > 1) or address in _NAT64:  # :: and ::1 embed nothing
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


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
