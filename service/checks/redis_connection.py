"""Whether Redis can be talked to, and if not, why: told apart by what the other side answers."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError

from service.checks.findings import Finding, fine, promised
from service.checks.given_settings import Given

PROBE_S: Final = 1.0
"""Longest wait for one answer when it is found out why there is no connection."""

Address = tuple[str, int]


def where(given: Given) -> str:
    """What Redis is called in the report: never with its password."""
    settings = given.settings
    if settings.sentinels:
        return f"{settings.redis_master} of {len(settings.sentinels)} sentinels"
    host, port = _named(given)
    return f"{host}:{port}"


async def check_sentinels(given: Given) -> tuple[list[Finding], Address | None]:
    """Ask every sentinel for the primary; the address it is at, None where there is none."""
    sentinels, master = given.settings.sentinels, given.settings.redis_master
    answers = await asyncio.gather(*(_ask(sentinel, master) for sentinel in sentinels))
    away = [f"{host}:{port}" for (host, port), (answered, _) in zip(sentinels, answers, strict=True) if not answered]
    primary = next((found for _, found in answers if found), None)
    if len(away) == len(sentinels):
        return [promised("sentinels-unreachable", ", ".join(away))], None
    findings = [promised("sentinels-some-away", ", ".join(away))] if away else []
    if primary is None:
        return [*findings, promised("sentinel-master-unknown", f"BREAKWATER_REDIS_MASTER is {master}")], None
    return [*findings, fine("sentinels", f"{master} is at {primary[0]}:{primary[1]}")], primary


async def _ask(sentinel: Address, master: str) -> tuple[bool, Address | None]:
    """Whether a sentinel answers, and where it says the primary is."""
    host, port = sentinel
    client = Redis(host=host, port=port, socket_timeout=PROBE_S, socket_connect_timeout=PROBE_S)
    try:
        found = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)  # type: ignore[no-untyped-call]
    except (RedisError, OSError):
        return False, None
    finally:
        await client.aclose()
    return True, (found[0].decode(), int(found[1])) if found else None


async def why_not(given: Given, failure: Exception, primary: Address | None) -> Finding:
    """Why there is no connection to Redis: the finding that says so."""
    if isinstance(failure, AuthenticationError | AuthorizationError):
        return promised("redis-password", where(given))
    if isinstance(failure, NoPermissionError):
        return promised("redis-forbidden", _shortly(failure))
    host, port = primary or _named(given)
    secure = given.settings.redis_url.get_secret_value().startswith("rediss:")
    if secure and await _answers_plainly(host, port):
        return promised("redis-tls", f"{host}:{port} speaks no TLS, and BREAKWATER_REDIS_URL is rediss://")
    if secure and (doubt := _certificate_doubt(failure)):
        return promised("redis-certificate", f"{host}:{port}: {doubt}")
    if not secure and await _shakes_hands(host, port):
        return promised("redis-tls", f"{host}:{port} speaks TLS, and BREAKWATER_REDIS_URL is redis://")
    return promised("redis-unreachable", f"{host}:{port}: {_shortly(failure)}")


def _named(given: Given) -> Address:
    """The host and port of the URL."""
    parts = urlsplit(given.settings.redis_url.get_secret_value())
    return parts.hostname or "localhost", parts.port or 6379


def _shortly(failure: BaseException) -> str:
    """A failure in a few words: redis-py's own hold no secret once the URL was parsed."""
    return (
        "no answer in time" if isinstance(failure, TimeoutError) else str(failure).rstrip(".") or type(failure).__name__
    )


def _causes(failure: BaseException) -> Sequence[BaseException]:
    """A failure and what it came from."""
    found = [failure]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def _certificate_doubt(failure: BaseException) -> str:
    """What is wrong with the other side's certificate; "" when that is not what failed."""
    return next((one.verify_message for one in _causes(failure) if isinstance(one, ssl.SSLCertVerificationError)), "")


async def _answers_plainly(host: str, port: int) -> bool:
    """Whether a Redis without TLS answers there."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"PING\r\n")
                return (await reader.read(1)) in (b"+", b"-")
            finally:
                writer.close()
    return False


async def _shakes_hands(host: str, port: int) -> bool:
    """Whether something there speaks TLS; nothing is sent, so it does not matter whose certificate it has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.close()
            return True
    return False
