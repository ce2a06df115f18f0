"""Connections that only go where a policy allows, checked on the address a socket really connects to.

The policy is asked about every address a name resolves to, and about the address of each socket. The last is the one
nothing gets around; an address written into a URL never reaches a resolver.
"""

import socket
import ssl
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp.httpx2.transport import AiohttpTransport

from service.domain.callback_address import CallbackPolicy
from service.domain.callback_url import CallbackTarget
from service.domain.errors import CallbackDenied


@dataclass(slots=True)
class GuardedCall:
    """The call under way: what may be connected to, and the first address that was refused."""

    policy: CallbackPolicy
    target: CallbackTarget
    denial: CallbackDenied | None = None

    def check(self, address: str) -> None:
        """Raise `CallbackDenied` for a denied address, and for every address after one."""
        if self.denial is None:
            try:
                self.policy.check_address(self.target, address)
            except CallbackDenied as denial:
                self.denial = denial
        if self.denial is not None:
            raise self.denial


# A resolver is told host and port, a socket factory only an address; the scheme, which also counts, neither of them.
# Both run in the call's own context (happy eyeballs' tasks inherit it), so they find the call here, however many share
# a connector. Outside of a call get() raises: nothing connects unchecked. A denial is written down in the call besides
# being raised, because what aiohttp makes of the exception depends on how many addresses there were.
_calling: ContextVar[GuardedCall] = ContextVar("_calling")


class guarded:
    """Let connections made in this block go where the call's policy allows, and nowhere else."""

    __slots__ = ("_before", "_call")

    def __init__(self, call: GuardedCall) -> None:
        self._call = call

    def __enter__(self) -> GuardedCall:
        self._before: Token[GuardedCall] = _calling.set(self._call)
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _calling.reset(self._before)


def _checked_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket for one connection attempt, of which happy eyeballs may start several."""
    family, kind, protocol, _, address = address_info
    _calling.get().check(str(address[0]))
    return socket.socket(family, kind, protocol)


class CheckedResolver(AbstractResolver):
    """Another resolver whose answers are all allowed: one denied address among them denies the name."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """What the other one says, checked. Raises `CallbackDenied`."""
        found = await self._inner.resolve(host, port, family)
        if not found:
            raise OSError("the name has no address")
        call = _calling.get()
        for one in found:
            call.check(one["host"])
        return found

    async def close(self) -> None:
        """Close the other one."""
        await self._inner.close()


def guarded_session(resolver: AbstractResolver, tls: ssl.SSLContext, keep_alive_s: float) -> aiohttp.ClientSession:
    """Connections of their own: no proxies, no cookies; calls on them are made within `guarded`, and do not redirect.

    A connection is allowed by the policy it was opened under and by no other: policies must not share a session.
    """
    connector = aiohttp.TCPConnector(
        ssl=tls,
        resolver=resolver,
        socket_factory=_checked_socket,
        use_dns_cache=False,  # a cached answer would not come past the check
        keepalive_timeout=keep_alive_s,
        limit=0,  # who calls bounds it: here a slow receiver would make the others wait
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("accept", "accept-encoding"),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )


def guarded_transport(resolver: AbstractResolver, tls: ssl.SSLContext, keep_alive_s: float) -> AiohttpTransport:
    """The same for httpx2's requests, which never redirect."""
    return AiohttpTransport(client=guarded_session(resolver, tls, keep_alive_s), verify=tls, trust_env=False)
