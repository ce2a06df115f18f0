"""Whether our own address can be reached by those who are given it, and where callbacks may go."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from service.checks.findings import Finding, fine, promised
from service.checks.given_settings import Given
from service.domain.callback_address import CallbackPolicy

_INTERNAL: Final = (".internal", ".local", ".localhost", ".lan", ".home.arpa", ".intranet", ".corp")
"""Names that no public DNS knows; `.svc.cluster.local` of Kubernetes among them."""

_WIDE: Final = {4: 8, 6: 16}
"""A network with a shorter prefix than this is no company's own: 10.0.0.0/8 still is."""


def _address(url: str) -> IPv4Address | IPv6Address | None:
    """The address a URL names, None where it names a host."""
    try:
        return ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return None


def is_local(url: str) -> bool:
    """Whether a URL leads to the machine it is used on."""
    address, host = _address(url), (urlsplit(url).hostname or "").rstrip(".")
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host == "localhost" or host.endswith(".localhost")


def is_private(url: str) -> bool:
    """Whether a URL leads to where the Internet cannot."""
    address, host = _address(url), (urlsplit(url).hostname or "").rstrip(".")
    if address is not None:
        return not address.is_global
    return "." not in host or host.endswith(_INTERNAL)


def check_public_url(given: Given) -> Iterator[Finding]:
    """Whether callers can use the addresses they are given."""
    url = given.settings.public_url
    if given.lacks("public_url"):
        return
    if url is None:
        yield promised("public-url-unset", given.settings.base_url)
    elif is_local(url):
        yield promised("public-url-local", url)
    else:
        yield fine("public-url", url)


def check_upstream_webhooks(given: Given) -> Iterator[Finding]:
    """Whether WaveSpeed can call back, where it is to."""
    settings = given.settings
    if settings.upstream_webhooks == "off":
        yield fine("upstream-webhooks", "off: WaveSpeed is polled")
        return
    found = []
    if not settings.signing_key and not given.lacks("signing_key"):
        found.append(promised("webhooks-signing-key"))
    if len(settings.signing_key) > 1:
        found.append(promised("signing-key-changing"))
    if not given.lacks("public_url"):
        url = settings.public_url
        if url is None or is_private(url):
            found.append(promised("webhooks-address", url or "BREAKWATER_PUBLIC_URL is not set"))
        elif url.startswith("http://"):
            found.append(promised("webhooks-plain-http", url))
    yield from found or [fine("upstream-webhooks", f"WaveSpeed calls back at {settings.public_url}")]


def check_callbacks(given: Given) -> Iterator[Finding]:
    """Where callbacks may go: somewhere, not everywhere, and not where nothing should."""
    allowed = CallbackPolicy.parse(given.settings.callback_allow).allowed
    if not allowed.hosts and not allowed.networks:
        yield promised("callbacks-nowhere")
        return
    wide = [str(network) for network in allowed.networks if network.prefixlen < _WIDE[network.version]]
    found = [promised("callbacks-everywhere", ", ".join(wide))] if wide else []
    if allowed.opened:
        found.append(promised("callbacks-denied-range", ", ".join(map(str, allowed.opened))))
    yield from found or [
        fine("callbacks", f"may go to {len(allowed.hosts)} host patterns and {len(allowed.networks)} networks")
    ]
