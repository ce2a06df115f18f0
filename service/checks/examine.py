"""Runs every check, each within its time: what can be looked at is, whatever else is away. Changes nothing."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from service.checks.addresses import check_callbacks, check_public_url, check_upstream_webhooks
from service.checks.files import check_models, read_written, without_keys
from service.checks.findings import Finding, Report, fine, promised, unseen
from service.checks.given_settings import Given, check_ending, check_scales, check_variables, read_given
from service.checks.redis_connection import Address, check_sentinels, where, why_not
from service.checks.redis_server import ask_server, judge
from service.checks.stored import check_encryption, check_tenants, check_work, has_keys, read_canary
from service.checks.upstream import check_account, check_key, check_limits, check_transport, may_ask
from service.domain.tenants_file import WrittenTenant
from service.resources import connect_redis

REDIS_S: Final = 5.0
"""Longest time for everything that is asked of Redis, in seconds."""

_REDIS_FIELDS: Final = ("redis_url", "redis_sentinels", "redis_master")
_UPSTREAM_FIELDS: Final = ("upstream_url", "wavespeed_api_key", "upstream_key_file")

Clock = Callable[[], float]


async def examine(environment: Mapping[str, str], clock: Clock = time.time) -> Report:
    """Look at everything. `environment` is the process's own, whose settings are read; `clock` is this machine's."""
    given = read_given()
    written, of_file = ([], []) if given.lacks("tenants_file", "callback_allow") else read_written(given)
    of_redis, of_upstream = await asyncio.gather(_redis(given, written, clock), _upstream(given))
    return Report(
        list(
            chain(
                check_variables(given, environment),
                of_redis,
                of_upstream,
                _own(given),
                of_file,
            )
        )
    )


async def _redis(given: Given, written: list[WrittenTenant], clock: Clock) -> list[Finding]:
    """Everything that is asked of Redis."""
    if lacking := given.lacks(*_REDIS_FIELDS):
        return [unseen("redis", f"{lacking} cannot be read"), *check_encryption(given, None, read=False)]
    findings: list[Finding] = []
    primary: Address | None = None
    if given.settings.sentinels:
        findings, primary = await check_sentinels(given)
        if primary is None:
            return [*findings, *check_encryption(given, None, read=False)]
    redis = connect_redis(given.settings, 2)
    try:
        async with asyncio.timeout(REDIS_S):
            return findings + await _ask(given, written, redis, clock)
    except (RedisError, OSError, TimeoutError) as failure:
        return [*findings, await why_not(given, failure, primary), *check_encryption(given, None, read=False)]
    finally:
        await redis.aclose()


async def _ask(given: Given, written: list[WrittenTenant], redis: Redis, clock: Clock) -> list[Finding]:
    """Ask a Redis that answers."""
    told = await ask_server(redis, clock)
    findings = [fine("redis", f"answers at {where(given)}"), *judge(told)]
    try:
        return findings + await _stored(given, written, redis, lambda: clock() + told.ahead_s)
    except NoPermissionError as refusal:
        return [*findings, await why_not(given, refusal, None), *check_encryption(given, None, read=False)]
    except ResponseError as refusal:  # a cluster's node, or one that is loading
        return [*findings, unseen("stored", str(refusal)), *check_encryption(given, None, read=False)]


async def _stored(given: Given, written: list[WrittenTenant], redis: Redis, clock: Clock) -> list[Finding]:
    """Look at what is in Redis; `clock` goes by the server's."""
    known = frozenset([one.id for one in written if await has_keys(redis, one.id)])
    return [
        *check_encryption(given, await read_canary(redis)),
        *await check_work(redis, clock),
        *([] if written else [await check_tenants(redis)]),
        *without_keys(written, known),
    ]


async def _upstream(given: Given) -> list[Finding]:
    """Everything about WaveSpeed and our account there."""
    if lacking := given.lacks(*_UPSTREAM_FIELDS):
        return [unseen("upstream", f"{lacking} cannot be read")]
    findings = [*check_key(given), *check_transport(given)]
    if may_ask(given):
        findings += await check_account(given)
    return findings


def _own(given: Given) -> Iterator[Finding]:
    """What settings alone decide."""
    yield from _unless_lacking(given, ("upstream_tier", "upstream_per_minute", "upstream_concurrency"), check_limits)
    yield from check_upstream_webhooks(given)
    yield from check_public_url(given)
    if not given.lacks("callback_allow"):
        yield from check_callbacks(given)
    if given.settings.admin_token is None and not given.lacks("admin_token"):
        yield promised("admin-token-off")
    yield from _unless_lacking(given, ("models_file",), check_models)
    yield from check_scales(given)
    yield from check_ending(given)
    yield check_worker_port(given)


def _unless_lacking(given: Given, fields: tuple[str, ...], check: Callable[[Given], Finding]) -> Iterator[Finding]:
    """A check, unless one of the settings it judges cannot be read, which is reported already."""
    if not given.lacks(*fields):
        yield check(given)


def check_worker_port(given: Given) -> Finding:
    """Whether the worker's port is free here."""
    port = given.settings.worker_metrics_port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return promised("worker-port-taken", f"port {port}")
    return fine("worker-port", f"{port} is free")
