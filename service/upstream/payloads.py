"""Upstream JSON to domain types, and HTTP answers to verdicts. Pure: no I/O.

What a submit answer means: 200 with code 200 and an id → started. A 4xx except 408, or a 200 with an error code and no
id → refused, never started. Everything else (408, 3xx, 5xx, another 2xx, unreadable) → the outcome is unknown.
What a read answers means: only a readable envelope about the task is a verdict; anything else is "look again later".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any, Final

from pydantic_core import from_json

from service.domain.errors import AccountFault, CapacityReached, OutcomeUnknown, ReadFailed, UpstreamRefused
from service.domain.json_forms import fingerprint
from service.domain.money import micros
from service.domain.predictions import Observation

_COMPLETED: Final = frozenset({"completed", "succeeded"})
_FAILED: Final = frozenset({"failed", "cancelled", "canceled", "timeout", "deleted", "error"})
"""Statuses after which the upstream does no more: its documentation's and its clients' words together."""

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""What an upstream id may be: it becomes part of a URL that carries our key."""

MIN_SECRET: Final = 16
"""A shorter text is no secret."""

MAX_MESSAGE: Final = 500
"""How much of an upstream's own text is passed on, in characters."""


@dataclass(frozen=True, slots=True)
class Started:
    """The upstream has the task under this id."""

    upstream_id: str


@dataclass(frozen=True, slots=True)
class ListedTask:
    """One task of the account as its list shows it; its inputs as their fingerprint."""

    upstream_id: str
    model: str
    input_sha256: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class CalledBack:
    """What a callback says of a task; `created_at_ms` is 0 when it does not say since when there is one."""

    upstream_id: str
    seen: Observation
    created_at_ms: int


def _envelope(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object in a body, or None when there is none."""
    try:
        parsed = from_json(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _message(envelope: Mapping[str, Any] | None, fallback: str) -> str:
    """The upstream's own words about an error, bounded."""
    for name in ("message", "error"):
        text = envelope.get(name) if envelope else None
        if isinstance(text, str) and text:
            return text[:MAX_MESSAGE]
    return fallback


def submit_answer(status: int, body: bytes, retry_after_s: float | None) -> Started:
    """Read the answer to a submission.

    Raises `UpstreamRefused` (or its `AccountFault`, `CapacityReached`) when nothing was started, `OutcomeUnknown` when
    it may have been.
    """
    envelope = _envelope(body)
    data = envelope.get("data") if envelope else None
    upstream_id = data.get("id") if isinstance(data, dict) else None
    if status == 200 and envelope is not None:
        code = envelope.get("code")
        if code == 200 and isinstance(upstream_id, str) and ID.fullmatch(upstream_id):
            return Started(upstream_id)
        if not upstream_id and type(code) is int and code != 200:
            raise _refusal(_status_of(code), _message(envelope, "refused"), retry_after_s)
    if 400 <= status < 500 and status != 408:
        raise _refusal(status, _message(envelope, "refused"), retry_after_s)
    raise OutcomeUnknown(f"submit answered {status}")


def _status_of(code: int) -> int:
    """The status an error code in a 200 stands for: task codes 1000 to 1999 are about the request, 4xx are themselves,
    and for anything else the upstream is to blame.
    """
    if 400 <= code < 500 and code != 408:
        return code
    return 400 if 1000 <= code < 2000 else 502


def _refusal(status: int, message: str, retry_after_s: float | None) -> UpstreamRefused:
    """The kind of refusal a status stands for."""
    if status in (401, 402, 403):
        return AccountFault(status)
    if status == 429:
        return CapacityReached(status, message, retry_after_s)
    return UpstreamRefused(status, message)


def result_answer(upstream_id: str, status: int, body: bytes, retry_after_s: float | None) -> Observation:
    """Read the answer to a look at one task. Raises `ReadFailed` for everything that is not a verdict about it."""
    data = _read_data(status, body, retry_after_s)
    if isinstance(data.get("id"), str) and data["id"] != upstream_id:
        raise ReadFailed("the answer is about another task")
    return observation(data)


def _read_data(status: int, body: bytes, retry_after_s: float | None) -> Mapping[str, Any]:
    """The `data` of a good answer to a read. Raises `ReadFailed`."""
    if status != 200:
        raise ReadFailed(f"status {status}", retry_after_s, in_trouble=status >= 500, absent=status == 404)
    envelope = _envelope(body)
    if envelope is None:
        raise ReadFailed("unreadable body")
    data = envelope.get("data")
    if envelope.get("code") != 200 or not isinstance(data, dict):
        raise ReadFailed(f"code {envelope.get('code')!r}"[:60])
    return data


def list_answer(status: int, body: bytes, retry_after_s: float | None) -> list[ListedTask]:
    """Read one page of the account's tasks. Raises `ReadFailed`, also for an entry that cannot be told from others."""
    items = _read_data(status, body, retry_after_s).get("items")
    if not isinstance(items, list):
        raise ReadFailed("a list without items")
    return [_listed(item) for item in items]


def _listed(item: Any) -> ListedTask:
    """Read one entry of a list."""
    upstream_id, inputs = (item.get("id"), item.get("input", item.get("inputs"))) if isinstance(item, dict) else (0, 0)
    if not isinstance(upstream_id, str) or not ID.fullmatch(upstream_id) or not isinstance(inputs, dict):
        raise ReadFailed("a list with an entry that says not what it is")
    created_at_ms = _time_ms(item.get("created_at"))
    if created_at_ms is None:
        raise ReadFailed("a list with an entry without a time")
    return ListedTask(upstream_id, str(item.get("model", "")), fingerprint(inputs), created_at_ms)


def _time_ms(text: Any) -> int | None:
    """An RFC 3339 time with up to nine digits of fraction, in unix milliseconds, or None."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return int(at.timestamp() * 1000) if at.tzinfo else None


def secret_answer(status: int, body: bytes, retry_after_s: float | None) -> str:
    """Read the secret callbacks are signed with. Raises `ReadFailed`."""
    secret = _read_data(status, body, retry_after_s).get("secret")
    if not isinstance(secret, str) or len(secret) < MIN_SECRET:
        raise ReadFailed("no secret")
    return secret


def balance_answer(status: int, body: bytes, retry_after_s: float | None) -> int:
    """Read the account's balance, in micro-dollars. Raises `ReadFailed`."""
    balance = _read_data(status, body, retry_after_s).get("balance")
    if isinstance(balance, bool) or not isinstance(balance, int | float) or not isfinite(balance):
        raise ReadFailed("no balance")
    return micros(str(balance))


def upload_answer(status: int, body: bytes, retry_after_s: float | None) -> Mapping[str, Any]:
    """Read what became of an upload, or where one may go. Raises `UpstreamRefused` or `ReadFailed`."""
    envelope = _envelope(body)
    if 400 <= status < 500 and status != 408:
        raise _refusal(status, _message(envelope, "refused"), retry_after_s)
    code = envelope.get("code") if envelope else None
    if status == 200 and type(code) is int and code != 200:
        raise _refusal(_status_of(code), _message(envelope, "refused"), retry_after_s)
    return _read_data(status, body, retry_after_s)


def callback_task(body: bytes) -> CalledBack | None:
    """Read the task a callback is about, None when that cannot be told: the bare prediction, without an envelope."""
    data = _envelope(body)
    upstream_id = data.get("id") if data else None
    if data is None or not isinstance(upstream_id, str) or not ID.fullmatch(upstream_id):
        return None
    return CalledBack(upstream_id, observation(data), _time_ms(data.get("created_at")) or 0)


def observation(data: Mapping[str, Any]) -> Observation:
    """Read one task as the upstream describes it. An unknown status means: still running."""
    status = str(data.get("status", ""))[:40]
    error = data.get("error")
    text = error[:MAX_MESSAGE] if isinstance(error, str) else ""
    if status in _COMPLETED:
        return Observation("completed", status, data)
    if status in _FAILED:
        return Observation("failed", status, data, text or f"the upstream ended the task as {status}")
    return Observation("running", status, data)
