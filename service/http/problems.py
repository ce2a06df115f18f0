"""The one table: domain error → status, code, Retry-After. Each face writes it in its own form.

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
    AccountFault,
    AlreadyExists,
    BreakwaterError,
    CallbackDenied,
    CapacityReached,
    FieldError,
    InvalidInput,
    NeverSent,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
    TenantSuspended,
    TooMany,
    Unauthenticated,
    UpstreamRefused,
)
from service.domain.predictions import json_bytes
from service.http.access_log import request_id

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


class PayloadTooLarge(BreakwaterError):
    """The body is larger than the setting allows."""


_TABLE: Final[tuple[tuple[type[BreakwaterError], int, str, int | None], ...]] = (
    # error, status, code, Retry-After in seconds; the first that fits counts
    (InvalidInput, 400, "invalid_input", None),
    (Unauthenticated, 401, "unauthenticated", None),
    (TenantSuspended, 403, "tenant_suspended", None),
    (NotFound, 404, "not_found", None),
    (AlreadyExists, 409, "already_exists", None),
    (PayloadTooLarge, 413, "payload_too_large", None),
    (CallbackDenied, 422, "callback_denied", None),
    (TooMany, 422, "too_many", None),
    (Overloaded, 503, "overloaded", 2),
    (StoreUnavailable, 503, "store_unavailable", 2),
    (AccountFault, 503, "upstream_account", 60),
    (CapacityReached, 429, "upstream_capacity", 10),
    (NeverSent, 503, "upstream_unreachable", 5),
    (OutcomeUnknown, 502, "upstream_outcome_unknown", None),
)


_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def problem_of(error: BreakwaterError) -> Problem:
    """Translate a domain error."""
    if isinstance(error, UpstreamRefused) and not isinstance(error, AccountFault | CapacityReached):
        return Problem(error.status, "upstream_refused", error.message)
    for kind, status, code, retry_after_s in _TABLE:
        if isinstance(error, kind):
            return Problem(
                status,
                code,
                str(error),
                retryable=retry_after_s is not None,
                retry_after_s=_wished(error) or retry_after_s,
                errors=tuple(error.errors) if isinstance(error, InvalidInput) else (),
                headers={"www-authenticate": "Bearer"} if status == 401 else {},
            )
    return Problem(500, "internal_error", "the gateway failed; the request id finds the reason in its log")


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
        # A denied callback is a bad request here: WaveSpeed's own clients know no 422.
        status = 400 if problem.code == "callback_denied" else problem.status
        body: dict[str, Any] = {"code": status, "message": problem.detail}
        return Response(json_bytes(body), status, headers, "application/json")
    body = {
        "type": "about:blank",
        "title": _PHRASES.get(problem.status, "Refused"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "code": problem.code,
        "request_id": request_id(request.scope),
        "retryable": problem.retryable,
        "errors": [{"field": e.field, "message": e.message} for e in problem.errors],
    }
    return Response(json_bytes(body), problem.status, headers, "application/problem+json")


async def on_domain_error(request: Request, error: Exception) -> Response:
    """Answer an error raised on purpose."""
    assert isinstance(error, BreakwaterError)  # noqa: S101 registered for nothing else
    problem = problem_of(error)
    if problem.status >= 500:
        log.warning("request refused", code=problem.code, reason=str(error), request_id=request_id(request.scope))
    return render(request, problem)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what routing itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 registered for nothing else
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return render(request, Problem(error.status_code, code, error.detail, headers=error.headers or {}))


async def on_crash(request: Request, error: Exception) -> Response:
    """Answer a bug: nothing of it is shown, the log has it."""
    identity = request_id(request.scope)
    log.error("unhandled error", request_id=identity, exc_info=error)
    response = render(request, problem_of(BreakwaterError()))
    response.headers["x-request-id"] = identity  # this answer is given outside of the middleware that adds it
    return response
