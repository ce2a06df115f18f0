"""WHERE A CALLBACK IS SENT: one POST to an address the policy allows, no redirects, bounded time and answer.

The policy is asked three times: about the URL, and by guarded connections about every address its name resolves to and
the address each socket connects to.
"""

import asyncio
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import Final

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver
from httpx_aiohttp.httpx2.transport import AiohttpTransport

from service.domain.callback_address import CallbackPolicy
from service.domain.errors import CallbackDenied
from service.domain.retry_after import parse_retry_after
from service.domain.webhook_retries import Outcome
from service.guarded_connections import CheckedResolver, GuardedCall, guarded, guarded_transport
from service.trust import system_trust

TOTAL_S: Final = 15.0
"""Longest time for one attempt, in seconds, from looking up the name to the end of the answer."""

CONNECT_S: Final = 5.0
"""Longest wait for a connection, in seconds: name, socket and TLS handshake together."""

MAX_ANSWER_BYTES: Final = 16_384
"""How much of an answer is read and kept; what follows is cut off by closing the connection."""

MAX_POLICIES: Final = 64
"""For how many policies connections are kept open; the one least recently used makes room."""

_KEEP_ALIVE_S: Final = 4.0
"""Shorter than the 5 s after which many servers close: a POST on a connection they just closed is a lost attempt."""

_AGENT: Final = f"Breakwater/{version('breakwater')}"


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended.

    `status` is None when none was received. `answer` is what was read of the body, as text. `retry_after_s` is the
    receiver's wish in seconds, if it gave one. `error` names the failure in plain words, never the URL, which may
    carry a token; it is empty when nothing failed.
    """

    outcome: Outcome
    status: int | None
    duration_s: float
    answer: str
    retry_after_s: float | None
    error: str


@dataclass(slots=True)
class _Pool:
    """The connections made under one policy. `sends` are using it; once `evicted`, the last of them closes it."""

    transport: AiohttpTransport
    sends: int = 0
    evicted: bool = False


@dataclass(slots=True)
class _Answer:
    """What has arrived so far."""

    status: int | None = None
    retry_after: str = ""
    body: bytearray = field(default_factory=bytearray)


class WebhookSender:
    """Sends callbacks: an async context manager, which closes its connections at the end.

    `total_s` and `connect_s` bound an attempt in seconds. `resolver` looks names up (the system's by default), and
    stays the caller's to close; `tls` says whose certificates are good (the system's by default).
    """

    def __init__(
        self,
        resolver: AbstractResolver | None = None,
        total_s: float = TOTAL_S,
        connect_s: float = CONNECT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._given_resolver = resolver
        self._resolver: CheckedResolver | None = None
        self._total_s = total_s
        self._connect_s = connect_s
        self._tls = tls or system_trust()
        # A connection is allowed by the policy it was opened under and by no other, so policies never share any.
        self._pools: OrderedDict[CallbackPolicy, _Pool] = OrderedDict()

    async def __aenter__(self) -> "WebhookSender":
        self._resolver = CheckedResolver(self._given_resolver or aiohttp.ThreadedResolver())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resolver = None
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.transport.aclose()

    async def send(self, url: str, body: bytes, headers: Mapping[str, str], policy: CallbackPolicy) -> AttemptResult:
        """POST `body`, a JSON document, once, where `policy` allows it.

        The status decides: an answer that breaks off, or is too long or too slow, was still given. Never raises for
        anything that the receiver, the network or the policy does. Raises `RuntimeError` when the sender is not open.
        """
        started_s = time.perf_counter()
        answer = _Answer()
        outcome: Outcome
        try:
            target = policy.check_url(url)
            request = self._request(target.url, body, headers)
        except CallbackDenied as denial:
            outcome, error = "denied", str(denial)
        except httpx2.InvalidURL:
            outcome, error = "denied", "the URL cannot be called"
        else:
            outcome, error = await self._attempt(GuardedCall(policy, target), request, answer)
        return AttemptResult(
            outcome=outcome,
            status=answer.status,
            duration_s=time.perf_counter() - started_s,
            answer=answer.body[:MAX_ANSWER_BYTES].decode(errors="replace"),
            retry_after_s=parse_retry_after(answer.retry_after, time.time()) if answer.retry_after else None,
            error=error,
        )

    def _request(self, url: str, body: bytes, headers: Mapping[str, str]) -> httpx2.Request:
        return httpx2.Request(
            "POST",
            url,
            content=body,
            headers={**headers, "content-type": "application/json", "user-agent": _AGENT},
            extensions={"timeout": {"connect": self._connect_s, "pool": self._connect_s}},
        )

    async def _attempt(self, sending: GuardedCall, request: httpx2.Request, answer: _Answer) -> tuple[Outcome, str]:
        """Make the exchange, filling `answer`; return what it came to, and the failure in words."""
        failure: Exception | None = None
        with guarded(sending):
            async with self._pool(sending.policy) as transport:
                try:
                    async with asyncio.timeout(self._total_s):
                        await _exchange(transport, request, answer)
                except Exception as broken:  # whatever it was, it is this attempt's outcome
                    failure = broken
        if answer.status is not None:
            return _verdict(answer.status)
        if sending.denial is not None:
            return "denied", str(sending.denial)
        if isinstance(failure, TimeoutError):
            return "timeout", f"no answer within {self._total_s:g} s"
        # The transport's own exceptions mix up much of what aiohttp's, their cause, tell apart.
        cause = failure.__cause__ or failure if failure else None
        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return "timeout", f"no connection within {self._connect_s:g} s"
        return _failure(cause)

    @asynccontextmanager
    async def _pool(self, policy: CallbackPolicy) -> AsyncIterator[AiohttpTransport]:
        """Lend the policy's connections for one send, making room for them if need be."""
        pool = self._pools.get(policy)
        if pool is None:
            pool = self._pools[policy] = _Pool(self._open())
        self._pools.move_to_end(policy)
        pool.sends += 1
        try:
            while len(self._pools) > MAX_POLICIES:
                _, oldest = self._pools.popitem(last=False)
                oldest.evicted = True
                if not oldest.sends:
                    await oldest.transport.aclose()
            yield pool.transport
        finally:
            pool.sends -= 1
            if pool.evicted and not pool.sends:
                await pool.transport.aclose()

    def _open(self) -> AiohttpTransport:
        if self._resolver is None:
            raise RuntimeError("the sender is not open")
        return guarded_transport(self._resolver, self._tls, _KEEP_ALIVE_S)


async def _exchange(transport: AiohttpTransport, request: httpx2.Request, answer: _Answer) -> None:
    response = await transport.handle_async_request(request)
    try:
        answer.status = response.status_code
        answer.retry_after = response.headers.get("retry-after", "")
        async with aclosing(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                answer.body += chunk
                if len(answer.body) >= MAX_ANSWER_BYTES:
                    break
    finally:
        await response.aclose()  # of an answer that was not read to its end, this closes the connection


def _verdict(status: int) -> tuple[Outcome, str]:
    """What a status says of the delivery, and in words what is wrong with it."""
    if 200 <= status < 300:
        return "delivered", ""
    if 300 <= status < 400:
        return "redirected", f"the receiver answered {status}; redirects are not followed"
    error = f"the receiver answered {status}"
    if status == 429:
        return "rate_limited", error
    return ("gone" if status == 410 else "rejected"), error


def _failure(cause: BaseException | None) -> tuple[Outcome, str]:
    """What an exchange without a status came to, and in words. No exception is quoted: its text may hold the URL."""
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return "tls_failed", "the certificate does not verify"
    if isinstance(cause, aiohttp.ClientSSLError):
        return "tls_failed", "the TLS handshake failed"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "connect_failed", "the name does not resolve"
    if isinstance(cause, aiohttp.ClientConnectorError):
        reason = os.strerror(cause.os_error.errno).lower() if cause.os_error.errno else "no reason given"
        return "connect_failed", f"cannot connect: {reason}"
    if isinstance(cause, aiohttp.ClientResponseError):
        return "broken", "the answer is not HTTP"
    return "broken", f"the connection broke before an answer ({type(cause).__name__})"
