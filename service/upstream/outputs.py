"""WHERE OUTPUTS ARE FETCHED: from the hosts WaveSpeed keeps them on, without any key, piece by piece.

Only from hosts on the list, and from the upstream's own origin; every address is checked when it is connected to. No
redirects. Memory is bounded by the pieces; nothing is kept.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import httpx2
from aiohttp.abc import AbstractResolver
from httpx_aiohttp.httpx2.transport import AiohttpTransport

from service.domain.callback_address import CallbackPolicy
from service.domain.errors import CallbackDenied, NoSuchPart, OutputDenied, OutputGone, ReadFailed
from service.domain.places import Places
from service.guarded_connections import CheckedResolver, GuardedCall, guarded, guarded_transport
from service.trust import system_trust

SETTING: Final = "BREAKWATER_OUTPUT_HOSTS"
"""The setting that lists the hosts."""

CONNECT_S: Final = 5.0
"""Longest wait for a connection, in seconds."""

FIRST_BYTE_S: Final = 15.0
"""Longest wait for the beginning of an answer, in seconds."""

SILENCE_S: Final = 30.0
"""Longest wait for the next piece of it, in seconds."""

EACH: Final = 32
TOTAL: Final = 256
"""How many outputs a tenant, and all of them, may fetch through one process at once."""

_ASKED: Final = ("range", "if-range", "if-none-match", "if-modified-since")
"""What a caller may ask of an output (RFC 9110): parts of it, or whether it changed."""

_TOLD: Final = (
    "content-type",
    "content-encoding",
    "content-length",
    "content-range",
    "accept-ranges",
    "etag",
    "last-modified",
)
"""What is passed on of the answer's headers: its bytes are passed on as they come, so how they are encoded is told."""

_ANSWERED: Final = frozenset({200, 206, 304})
_NOT_THERE: Final = frozenset({403, 404, 410})
"""Storage behind a CDN says 403 of what it does not have."""


@dataclass(frozen=True, slots=True)
class OpenOutput:
    """An answer whose body is yet to be read, as `pieces`."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncGenerator[bytes, None]


def output_url(output: Any) -> str:
    """Where one of a prediction's outputs is; "" when it is no file: models may answer texts and objects."""
    address = output.get("url") if isinstance(output, dict) else output
    is_address = isinstance(address, str) and address.startswith(("https://", "http://"))
    return str(address) if is_address else ""


class Outputs:
    """Fetches outputs; made by `connect_outputs`."""

    def __init__(
        self, listed: CallbackPolicy, upstream: CallbackPolicy, origin: tuple[str, str, int], opened: "_Transports"
    ) -> None:
        self._listed = listed
        self._upstream = upstream
        self._origin = origin
        self._transports = opened
        self.places = Places("downloads", EACH, TOTAL)

    async def open(
        self, url: str, tenant_id: str, stack: AsyncExitStack, asked: Mapping[str, str] | None = None
    ) -> OpenOutput:
        """Begin to fetch an output; it stays open as long as `stack`. Of the headers `asked` only a few go on.

        Raises `OutputDenied`, `OutputGone`, `NoSuchPart`, `ReadFailed`, and where there is no place `TooManyOpen` or
        `Overloaded`.
        """
        stack.enter_context(self.places.taken_by(tenant_id))
        call, transport = self._call(url)
        headers = {name: value for name in _ASKED if (value := (asked or {}).get(name))}
        headers["accept-encoding"] = "identity"
        timeouts = {"connect": CONNECT_S, "pool": CONNECT_S, "read": SILENCE_S}
        try:
            request = httpx2.Request("GET", call.target.url, headers=headers, extensions={"timeout": timeouts})
            with guarded(call):
                async with asyncio.timeout(FIRST_BYTE_S):
                    response = await transport.handle_async_request(request)
        except Exception as broken:
            if call.denial is not None:
                raise OutputDenied(f"the output may not be fetched: {call.denial}") from None
            raise ReadFailed(f"no output: {type(broken.__cause__ or broken).__name__}") from broken
        stack.push_async_callback(response.aclose)
        if response.status_code in _NOT_THERE:
            raise OutputGone("the output is no longer kept")
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise NoSuchPart(response.headers.get("content-range", ""))
        if response.status_code not in _ANSWERED:
            raise ReadFailed(f"no output: status {response.status_code}")
        told = {name: value for name in _TOLD if (value := response.headers.get(name))}
        return OpenOutput(response.status_code, told, response.aiter_raw())

    def _call(self, url: str) -> tuple[GuardedCall, AiohttpTransport]:
        """The call that fetches a URL, and the connections it is made on. Raises `OutputDenied`."""
        try:
            target = self._upstream.check_url(url)
            if (target.scheme, target.host, target.port) == self._origin:
                return GuardedCall(self._upstream, target), self._transports.upstream
        except CallbackDenied:
            pass  # it is not the upstream's
        try:
            return GuardedCall(self._listed, self._listed.check_url(url)), self._transports.listed
        except CallbackDenied as denial:
            raise OutputDenied(f"the output may not be fetched: {denial}") from None


@dataclass(frozen=True, slots=True)
class _Transports:
    """Connections to listed hosts, and to the upstream: a connection is good for the policy it was made under."""

    listed: AiohttpTransport
    upstream: AiohttpTransport


@asynccontextmanager
async def connect_outputs(
    hosts: str, upstream_url: str, resolver: AbstractResolver | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Outputs]:
    """Open connections to the listed hosts and to the upstream's own origin.

    `resolver` looks names up and `tls` says whose certificates are good (the system's by default).
    """
    checked = CheckedResolver(resolver or aiohttp.ThreadedResolver())
    tls = tls or system_trust()
    upstream, origin = _upstream_policy(upstream_url)
    async with AsyncExitStack() as stack:
        transports = _Transports(*(guarded_transport(checked, tls, CONNECT_S) for _ in range(2)))
        for transport in (transports.listed, transports.upstream):
            stack.push_async_callback(transport.aclose)
        yield Outputs(output_policy(hosts), upstream, origin, transports)


def output_policy(hosts: str) -> CallbackPolicy:
    """The hosts of the setting, written as for callbacks. Raises `ValueError` naming the entry that is wrong."""
    return CallbackPolicy.parse(hosts, source=SETTING)


def _upstream_policy(upstream_url: str) -> tuple[CallbackPolicy, tuple[str, str, int]]:
    """The upstream's own origin as a policy: wherever the operators say it is, even on this machine."""
    parts = urlsplit(upstream_url)
    host = parts.hostname or ""
    networks = "127.0.0.0/8 ::1" if host == "localhost" else ""
    literal = ":" in host or host.replace(".", "").isdigit()
    entry = host if literal else f"http:{host}"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return CallbackPolicy.parse(f"{entry} {networks}", source="BREAKWATER_UPSTREAM_URL"), (parts.scheme, host, port)
