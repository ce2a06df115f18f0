"""WHERE A CALLBACK IS SENT: one POST to an address that was checked, without redirects, bounded in time and answer."""

import asyncio
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Final

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp.httpx2.transport import AiohttpTransport

from service.domain.callback_address import CallbackPolicy
from service.domain.callback_url import CallbackTarget
from service.domain.errors import CallbackDenied
from service.domain.retry_after import parse_retry_after
from service.domain.webhook_retries import Outcome

TOTAL_S: Final = 15.0
"""Longest attempt, in seconds."""

CONNECT_S: Final = 5.0
"""Longest wait for a connection, in seconds."""

MAX_ANSWER_BYTES: Final = 16_384
"""How much of a receiver's answer is kept; the rest is not read."""

_KEEP_ALIVE_S: Final = 4.0
_MAX_ORIGINS: Final = 256
"""Origins with open connections; the one used longest ago is closed first."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt went. `answer` is the beginning of the receiver's body, `error` a failure in plain words."""

    outcome: Outcome
    status: int | None
    duration_s: float
    answer: str = ""
    retry_after_s: float | None = None
    error: str = ""


class _CheckedResolver(AbstractResolver):
    """Resolves names, and refuses a name if any of its addresses is denied."""

    def __init__(self, resolver: AbstractResolver, check: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._check = check

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve and check."""
        found = await self._resolver.resolve(host, port, family)
        for address in found:
            self._check(address["host"])
        return found

    async def close(self) -> None:
        """Leave the shared resolver open."""


@dataclass(slots=True)
class _Origin:
    """The connections to one host and port under one policy, and how many sends use them."""

    transport: AiohttpTransport
    users: int = 0
    evicted: bool = False


class WebhookSender:
    """Sends callbacks. Connections are kept for one origin under one policy, and never shared beyond that: one that a
    tenant's policy allowed must not carry what another's would deny.
    """

    def __init__(
        self,
        *,
        total_s: float = TOTAL_S,
        connect_s: float = CONNECT_S,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._total_s = total_s
        self._connect_s = connect_s
        self._given_resolver = resolver
        self._origins: OrderedDict[tuple[CallbackPolicy, str, str, int], _Origin] = OrderedDict()
        self._user_agent = f"Breakwater/{version('breakwater')}"

    async def __aenter__(self) -> "WebhookSender":
        self._resolver = self._given_resolver or aiohttp.ThreadedResolver()
        self._tls = ssl.create_default_context()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._origins:
            _, origin = self._origins.popitem()
            await origin.transport.aclose()
        if self._given_resolver is None:
            await self._resolver.close()

    async def send(self, url: str, body: bytes, headers: Mapping[str, str], policy: CallbackPolicy) -> AttemptResult:
        """POST once. Never raises for what the policy, the network or the receiver does: the result says it."""
        started = time.monotonic()
        try:
            target = policy.check_url(url)
            async with asyncio.timeout(self._total_s), self._connections(policy, target) as transport:
                return await self._exchange(transport, target, body, headers, started)
        except CallbackDenied as denied:
            return AttemptResult("denied", None, time.monotonic() - started, error=str(denied))
        except TimeoutError:
            text = f"no answer within {self._total_s:g} s"
            return AttemptResult("timeout", None, time.monotonic() - started, error=text)
        except (httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            outcome, text = _failure(error)
            return AttemptResult(outcome, None, time.monotonic() - started, error=text)

    async def _exchange(
        self,
        transport: AiohttpTransport,
        target: CallbackTarget,
        body: bytes,
        headers: Mapping[str, str],
        started: float,
    ) -> AttemptResult:
        """Send the request and read the beginning of the answer."""
        request = httpx2.Request(
            "POST",
            target.url,
            content=body,
            headers={**headers, "content-type": "application/json", "user-agent": self._user_agent},
            extensions={"timeout": {"connect": self._connect_s, "pool": self._connect_s, "read": self._total_s}},
        )
        response = await transport.handle_async_request(request)
        answer = bytearray()
        try:
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) >= MAX_ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        wished = response.headers.get("retry-after")
        status = response.status_code
        return AttemptResult(
            _judged(status),
            status,
            time.monotonic() - started,
            bytes(answer[:MAX_ANSWER_BYTES]).decode(errors="replace"),
            parse_retry_after(wished, time.time()) if wished else None,
            "" if 200 <= status < 300 else f"answered {status}",
        )

    @asynccontextmanager
    async def _connections(self, policy: CallbackPolicy, target: CallbackTarget) -> AsyncIterator[AiohttpTransport]:
        """The connections of this origin under this policy, kept open while they are in use."""
        key = (policy, target.scheme, target.host, target.port)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = _Origin(self._open(policy, target))
        self._origins.move_to_end(key)
        origin.users += 1
        try:
            await self._evict()
            yield origin.transport
        finally:
            origin.users -= 1
            if origin.evicted and not origin.users:
                await origin.transport.aclose()

    async def _evict(self) -> None:
        """Close the connections of origins not used for long; those in use are closed by their last user."""
        while len(self._origins) > _MAX_ORIGINS:
            _, oldest = self._origins.popitem(last=False)
            oldest.evicted = True
            if not oldest.users:
                await oldest.transport.aclose()

    def _open(self, policy: CallbackPolicy, target: CallbackTarget) -> AiohttpTransport:
        """Make connections that refuse, at the socket, every address the policy denies."""

        def check(address: str) -> None:
            policy.check_address(target, address)

        def checked_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
            # The last word: whatever was resolved or written, this is the address that is connected to.
            family, kind, protocol, _, address = address_info
            check(str(address[0]))
            return socket.socket(family, kind, protocol)

        def session() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(self._resolver, check),
                socket_factory=checked_socket,
                use_dns_cache=False,
                keepalive_timeout=_KEEP_ALIVE_S,
                ssl=self._tls,
                limit=0,  # how many attempts run at once is the pool's business
            )
            return aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("accept", "accept-encoding", "user-agent"),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )

        return AiohttpTransport(client=session)


def _judged(status: int) -> Outcome:
    """What a status means for a delivery: only a 2xx is success."""
    if 200 <= status < 300:
        return "delivered"
    if 300 <= status < 400:
        return "redirected"
    return {410: "gone", 429: "rate_limited"}.get(status, "rejected")  # type: ignore[return-value] # all are Outcomes


def _failure(error: Exception) -> tuple[Outcome, str]:
    """What went wrong on the way, judged by the deepest cause; the URL is never quoted, it may hold a token."""
    chain: list[BaseException] = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 10:
        chain.append(deeper)
    for cause in chain:
        if isinstance(cause, CallbackDenied):
            return "denied", str(cause)
    for cause in chain:
        if isinstance(cause, ssl.SSLError | aiohttp.ClientSSLError | ssl.CertificateError):
            return "tls_failed", "the TLS handshake failed"
        if isinstance(cause, aiohttp.ConnectionTimeoutError | aiohttp.SocketTimeoutError):
            return "timeout", "no connection or no answer in time"
        if isinstance(cause, aiohttp.ClientConnectorError):
            return "connect_failed", "cannot connect"
    return "broken", "the connection broke before an answer was complete"
