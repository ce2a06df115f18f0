"""WHERE A CALLBACK IS SENT: one POST to an address the policy allows, no redirects, bounded time and answer.

The policy is asked three times: about the URL, and by guarded connections about every address its name resolves to and
the address each socket connects to.
"""

import asyncio
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from service.domain.callback_address import CallbackPolicy
from service.domain.errors import CallbackDenied
from service.domain.retry_after import parse_retry_after
from service.domain.webhook_retries import Outcome
from service.guarded_connections import CheckedResolver, GuardedCall, guarded, guarded_session
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

_HEADERS: Final = {"content-type": "application/json", "user-agent": f"Breakwater/{version('breakwater')}"}

_url = lru_cache(4_096)(URL)
"""A URL as aiohttp wants it: receivers are few, and reading one costs as much as signing a message."""


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
    """The connections made under one policy, and how many sends are using them."""

    session: aiohttp.ClientSession
    sends: int = 0


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
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
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
            await pool.session.close()

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
            called = _url(target.url)
        except CallbackDenied as denial:
            outcome, error = "denied", str(denial)
        except ValueError:
            outcome, error = "denied", "the URL cannot be called"
        else:
            outcome, error = await self._attempt(GuardedCall(policy, target), called, body, headers, answer)
        return AttemptResult(
            outcome=outcome,
            status=answer.status,
            duration_s=time.perf_counter() - started_s,
            answer=answer.body.decode(errors="replace"),
            retry_after_s=parse_retry_after(answer.retry_after, time.time()) if answer.retry_after else None,
            error=error,
        )

    async def _attempt(
        self, sending: GuardedCall, url: URL, body: bytes, headers: Mapping[str, str], answer: _Answer
    ) -> tuple[Outcome, str]:
        """Make the exchange, filling `answer`; return what it came to, and the failure in words."""
        failure: Exception | None = None
        pool = self._pool(sending.policy)
        pool.sends += 1
        try:
            with guarded(sending):
                async with asyncio.timeout(self._total_s):
                    await self._exchange(pool.session, url, body, headers, answer)
        except Exception as broken:  # whatever it was, it is this attempt's outcome
            failure = broken
        finally:
            pool.sends -= 1
            if len(self._pools) > MAX_POLICIES:
                await self._make_room(pool)
        if answer.status is not None:
            return _verdict(answer.status)
        if sending.denial is not None:
            return "denied", str(sending.denial)
        if isinstance(failure, aiohttp.ConnectionTimeoutError):
            return "timeout", f"no connection within {self._connect_s:g} s"
        if isinstance(failure, TimeoutError):
            return "timeout", f"no answer within {self._total_s:g} s"
        return _failure(failure)

    async def _exchange(
        self, session: aiohttp.ClientSession, url: URL, body: bytes, headers: Mapping[str, str], answer: _Answer
    ) -> None:
        response = await session.request(
            "POST", url, data=body, headers={**headers, **_HEADERS}, allow_redirects=False, timeout=self._timeout
        )
        try:
            answer.status = response.status
            answer.retry_after = response.headers.get("retry-after", "")
            while (room := MAX_ANSWER_BYTES - len(answer.body)) > 0 and (chunk := await response.content.read(room)):
                answer.body += chunk
        finally:
            response.close()  # the connection too, unless the answer was read to its end

    def _pool(self, policy: CallbackPolicy) -> _Pool:
        """The policy's connections, opened if need be."""
        pool = self._pools.get(policy)
        if pool is None:
            if self._resolver is None:
                raise RuntimeError("the sender is not open")
            pool = self._pools[policy] = _Pool(guarded_session(self._resolver, self._tls, _KEEP_ALIVE_S))
        self._pools.move_to_end(policy)
        return pool

    async def _make_room(self, spared: _Pool) -> None:
        """Close the connections of the policies that nobody has sent under for the longest, none that are in use."""
        too_many = len(self._pools) - MAX_POLICIES
        idle = [policy for policy, pool in self._pools.items() if not pool.sends and pool is not spared]
        closing = [self._pools.pop(policy) for policy in idle[:too_many]]
        for pool in closing:
            await pool.session.close()


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
