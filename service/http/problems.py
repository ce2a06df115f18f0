"""Errors as answers: each face writes what the table says of them in its own form.

WaveSpeed's face answers `{"code": <status>, "message": …}`, as its clients expect; ours RFC 9457 problem+json.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import (
    BreakwaterError,
    CapacityReached,
    FieldError,
    InvalidInput,
    NoSuchPart,
    Unauthenticated,
    UpstreamError,
    UpstreamRefused,
)
from service.domain.json_forms import json_bytes
from service.domain.limits import QuotaExceeded
from service.http.access_log import request_id
from service.http.error_table import BROKEN, NO_METHOD, Kind, kind_of
from service.http.quota_headers import quota_headers

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as the outside sees it. `detail` is fit for a caller to read; `retry_after_s` in whole seconds."""

    status: int
    code: str
    detail: str
    retryable: bool = False
    retry_after_s: int | None = None
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    type: str = "about:blank"
    violated_policies: tuple[str, ...] = ()
    wavespeed_status: int | None = None


QUOTA_EXCEEDED: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""The problem type of draft-ietf-httpapi-ratelimit-headers, whose member `violated-policies` names the limits."""

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def problem_of(error: BreakwaterError) -> Problem:
    """Translate a domain error."""
    kind = kind_of(error)
    if isinstance(error, QuotaExceeded):
        return _quota_problem(error, kind)
    if kind is BROKEN:
        return Problem(kind.status, kind.code, "the gateway failed; the request id finds the reason in its log")
    if isinstance(error, UpstreamRefused) and not kind.status:
        return Problem(error.status, kind.code, error.message)
    return Problem(
        kind.status,
        kind.code,
        str(error),
        retryable=kind.retry_after_s is not None,
        retry_after_s=_wished(error) or kind.retry_after_s,
        errors=tuple(error.errors) if isinstance(error, InvalidInput) else (),
        headers=_headers(error),
        wavespeed_status=kind.wavespeed_status,
    )


def _quota_problem(error: QuotaExceeded, kind: Kind) -> Problem:
    """Limits that refuse, as the RateLimit draft describes them: 402 where money is missing, 429 for all else."""
    return Problem(
        kind.status,
        kind.code,
        str(error),
        retryable=True,
        retry_after_s=error.retry_after_s,
        headers=quota_headers(error.states),
        type=QUOTA_EXCEEDED,
        violated_policies=tuple(state.name for state in error.refusing),
    )


def _headers(error: BreakwaterError) -> Mapping[str, str]:
    """What HTTP asks for beside the body."""
    if isinstance(error, Unauthenticated):
        return {"www-authenticate": "Bearer"}
    return {"content-range": error.content_range} if isinstance(error, NoSuchPart) and error.content_range else {}


def _wished(error: BreakwaterError) -> int | None:
    """The upstream's own Retry-After, rounded up."""
    if isinstance(error, CapacityReached) and error.retry_after_s is not None:
        return max(1, ceil(error.retry_after_s))
    return None


def is_wavespeed(request: Request) -> bool:
    """Whether a request belongs to WaveSpeed's face."""
    return request.url.path.startswith("/api/")


def render(request: Request, problem: Problem) -> Response:
    """Write a problem in the form of the face it was met on."""
    headers = dict(problem.headers)
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    if is_wavespeed(request):
        status = problem.wavespeed_status or problem.status
        body: dict[str, Any] = {"code": status, "message": problem.detail}
        return Response(json_bytes(body), status, headers, "application/json")
    body = {
        "type": problem.type,
        "title": _PHRASES.get(problem.status, "Refused"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "code": problem.code,
        "request_id": request_id(request.scope),
        "retryable": problem.retryable,
        "errors": [{"field": e.field, "message": e.message} for e in problem.errors],
    }
    if problem.violated_policies:
        body["violated-policies"] = list(problem.violated_policies)
    return Response(json_bytes(body), problem.status, headers, "application/problem+json")


async def answer_error(request: Request, error: Exception) -> Response:
    """What a request is answered with after an error: one raised on purpose, by routing, or a bug."""
    if isinstance(error, BreakwaterError):
        return _domain_answer(request, error)
    if isinstance(error, HTTPException):
        return _routing_answer(request, error)
    return _crash_answer(request, error)


def _domain_answer(request: Request, error: BreakwaterError) -> Response:
    """Answer an error raised on purpose."""
    problem = problem_of(error)
    if problem.status >= 500:
        # An upstream's words may quote the prompt, so they are not for the log.
        reason = type(error).__name__ if isinstance(error, UpstreamError) else str(error)
        log.warning("request refused", code=problem.code, reason=reason, request_id=request_id(request.scope))
    return render(request, problem)


def _routing_answer(request: Request, error: HTTPException) -> Response:
    """Answer what routing itself refuses: unknown paths and methods."""
    code = {405: NO_METHOD.code}.get(error.status_code, "not_found")
    return render(request, Problem(error.status_code, code, error.detail, headers=error.headers or {}))


def _crash_answer(request: Request, error: Exception) -> Response:
    """Answer a bug: nothing of it is shown, the log has it."""
    log.error("unhandled error", request_id=request_id(request.scope), exc_info=error)
    return render(request, problem_of(BreakwaterError()))
