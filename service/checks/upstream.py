"""Whether WaveSpeed can be reached and takes our key. Its balance is asked for: that costs nothing."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from service.checks.addresses import is_local
from service.checks.findings import Finding, fine, promised
from service.checks.given_settings import Given
from service.domain.capacity import Capacity
from service.domain.errors import ReadFailed, UpstreamError
from service.domain.money import dollars, micros
from service.metrics import Metrics
from service.settings import BadSetting, check_key_file
from service.upstream.client import connect_upstream, read_failure
from service.upstream.key import UpstreamKey
from service.upstream.payloads import balance_answer

ANSWER_S: Final = 5.0
"""Longest wait for WaveSpeed's answer."""

_REFUSALS: Final = frozenset({401, 403})


def check_key(given: Given) -> Iterator[Finding]:
    """Whether there is a key, and only those who need it can read it."""
    file = given.settings.upstream_key_file
    if file is None:
        if given.settings.wavespeed_api_key is None:
            if not given.lacks("wavespeed_api_key", "upstream_key_file"):
                yield promised("upstream-key-missing")
            return
        yield fine("upstream-key", "in WAVESPEED_API_KEY")
        return
    try:
        check_key_file(file)
    except BadSetting as bad:
        yield promised("upstream-key-file-unreadable", str(bad).partition(": ")[2])
        return
    yield _open_to_others(file)


def _open_to_others(file: Path) -> Finding:
    """Whether everybody on this machine may read a file."""
    if file.stat().st_mode & stat.S_IROTH:
        return promised("upstream-key-file-open", str(file))
    return fine("upstream-key", f"in {file}")


def check_limits(given: Given) -> Finding:
    """Whether it is known what the account may do."""
    capacity = given.settings.capacity
    if capacity == Capacity():
        return promised("account-limits-unset")
    at_once = "any number" if capacity.concurrency is None else f"{capacity.concurrency:,}"
    minutely = ", ".join(f"{name} {count:,}" for name, count in capacity.per_minute.items()) or "any number"
    return fine("account-limits", f"{at_once} tasks at once; a minute: {minutely}")


def check_transport(given: Given) -> Iterator[Finding]:
    """Whether the key travels encrypted."""
    url = given.settings.upstream_url
    if url.startswith("http://") and not is_local(url):
        yield promised("upstream-plain-http", url)


def may_ask(given: Given) -> bool:
    """Whether there is a key to ask with. A key file that cannot be used stands in the way of any other, as it does
    for gateway and worker, which do not start.
    """
    settings = given.settings
    if settings.upstream_key_file is None:
        return settings.wavespeed_api_key is not None
    try:
        check_key_file(settings.upstream_key_file)
    except BadSetting:
        return False
    return True


async def check_account(given: Given) -> list[Finding]:
    """Ask for the balance, once."""
    settings = given.settings
    key = UpstreamKey(settings.wavespeed_api_key, settings.upstream_key_file)
    async with connect_upstream(settings.upstream_url, key, Metrics(CollectorRegistry(), "")) as upstream:
        try:
            request = upstream.request("GET", "balance")
            status, body = await upstream.call(
                "balance", request, ANSWER_S, lambda status, body, _: (status, body), read_failure
            )
        except UpstreamError as failure:
            reason = failure.reason if isinstance(failure, ReadFailed) else str(failure)
            return [promised("upstream-unreachable", f"{settings.upstream_url}: {reason}")]
    return [_judge(given, status, body)]


def _judge(given: Given, status: int, body: bytes) -> Finding:
    """What an answer says of key and account."""
    if status in _REFUSALS:
        return promised("upstream-key-refused", f"it answers {status}")
    if status == 402:
        return promised("balance-empty", "it answers 402")
    try:
        balance_micros = balance_answer(status, body, None)
    except ReadFailed as unread:
        return promised("upstream-unreadable", f"{given.settings.upstream_url}: {unread.reason}")
    seen = f"${dollars(balance_micros)}"
    if balance_micros <= 0:
        return promised("balance-empty", seen)
    low = micros(given.settings.upstream_balance_low_usd)
    return (
        promised("balance-low", seen) if balance_micros < low else fine("account", f"the key is accepted, {seen} left")
    )
