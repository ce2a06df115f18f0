"""Reading a callback URL the one strict way: what two parsers could read differently is refused."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import idna

from service.domain.errors import CallbackDenied

Address = IPv4Address | IPv6Address

MAX_URL: Final = 2048
"""Longest callback URL, in characters."""

_URL = re.compile(r"(https?)://([^/?]*)(.*)", re.ASCII | re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # Compose service names have underscores
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label of this form makes the whole host an IPv4 address, or nothing."""
_IPV4_PART = re.compile(r"[1-9][0-9]*|0[0-7]*|0x[0-9a-f]*")


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


def read_url(url: str) -> CallbackTarget:
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
        raise CallbackDenied(f"cannot read {shown(authority)} as host and port")
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
            host, address = read_host(where[2])
    except ValueError as wrong:
        raise CallbackDenied(f"the callback URL's host {shown(authority)}: {wrong}") from None
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == default else f":{port}"
    path = rest if rest.startswith("/") else "/" + rest
    return CallbackTarget(f"{scheme}://{shown_host}{shown_port}{path}", scheme, host, port, address)


def read_host(text: str) -> tuple[str, IPv4Address | None]:
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
    if not NUMBER.fullmatch(labels[-1]):
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


def shown(text: str) -> str:
    """Quote a piece of a URL for an error text, shortened."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
