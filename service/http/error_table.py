"""THE ONE TABLE OF ERRORS: domain error → code, status, Retry-After, what it means and what to do about it.

docs/errors.md is this table for people, and a test holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from service.domain.errors import (
    AccountFault,
    AlreadyExists,
    BreakwaterError,
    CallbackDenied,
    CannotFire,
    CapacityReached,
    Conflict,
    IdempotencyConflict,
    IdempotencyMismatch,
    InvalidInput,
    ModelDenied,
    ModelRetired,
    NeverSent,
    NoSuchPart,
    NotFound,
    OutcomeUnknown,
    OutputDenied,
    OutputGone,
    Overloaded,
    ReadFailed,
    StoreUnavailable,
    TenantSuspended,
    TooMany,
    TooManyOpen,
    Unauthenticated,
    UpstreamRefused,
)
from service.domain.limits import QuotaExceeded


class PayloadTooLarge(BreakwaterError):
    """The body is larger than the setting allows."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error. `status` 0 is WaveSpeed's own; `wavespeed_status` where WaveSpeed's face has another one.

    With `retry_after_s`, in whole seconds, waiting helps: the same request may succeed later.
    """

    code: str
    status: int
    meaning: str
    remedy: str
    retry_after_s: int | None = None
    wavespeed_status: int | None = None


_KINDS: Final[tuple[tuple[type[BreakwaterError], Kind], ...]] = (
    # The first that fits counts: an error stands before what it is a kind of.
    (
        CannotFire,
        Kind("cannot_fire", 422, "The subscription waits for something that never happens.", "Name events there are."),
    ),
    (
        InvalidInput,
        Kind(
            "invalid_input", 400, "A field, a parameter or the JSON itself is wrong; `errors` names it.", "Correct it."
        ),
    ),
    (
        Unauthenticated,
        Kind(
            "unauthenticated",
            401,
            "There is no key, or it is malformed, unknown, expired or revoked.",
            "Send `Authorization: Bearer bw_...` with a key that `breakwater key list` shows as valid.",
        ),
    ),
    (
        TenantSuspended,
        Kind("tenant_suspended", 403, "The team may not submit at the moment.", "Ask the gateway's operators."),
    ),
    (
        ModelDenied,
        Kind(
            "model_denied",
            403,
            "The team's list of models does not name this one.",
            "Use one that `GET /v1/models` shows, or ask operators for it.",
        ),
    ),
    (
        NotFound,
        Kind(
            "not_found",
            404,
            "There is no such thing, or it is another team's, or no longer kept.",
            "Check the id and the path; predictions are kept for seven days.",
        ),
    ),
    (
        AlreadyExists,
        Kind("already_exists", 409, "The name is taken.", "Use another, or change the one there is."),
    ),
    (
        Conflict,
        Kind(
            "conflict",
            409,
            "It does not fit the state things are in, which the text names.",
            "Read the thing again, then decide.",
        ),
    ),
    (
        IdempotencyConflict,
        Kind(
            "idempotency_conflict",
            409,
            "A copy of this submission is being answered at this moment.",
            "Send it again with the same `Idempotency-Key`: the answer of the first copy comes back.",
            retry_after_s=1,
        ),
    ),
    (
        ModelRetired,
        Kind("model_retired", 410, "The model is no longer offered.", "Use the model the text names."),
    ),
    (
        OutputGone,
        Kind("output_gone", 410, "WaveSpeed no longer keeps the output.", "Fetch outputs before `output_expires_at`."),
    ),
    (
        PayloadTooLarge,
        Kind(
            "payload_too_large",
            413,
            "The body is larger than the gateway takes.",
            "Upload files and send their URLs; the limits are `BREAKWATER_MAX_BODY_BYTES` and `..._UPLOAD_BYTES`.",
        ),
    ),
    (
        NoSuchPart,
        Kind("no_such_part", 416, "The output has no such part.", "Ask for a range within `Content-Range`."),
    ),
    (
        CallbackDenied,
        Kind(
            "callback_denied",
            422,
            "The callback may not go there; the text names the rule.",
            "Use an address your policy allows, or ask operators to allow it.",
            wavespeed_status=400,
        ),
    ),
    (
        TooMany,
        Kind("too_many", 422, "There are as many of these as there may be.", "Delete one first."),
    ),
    (
        IdempotencyMismatch,
        Kind(
            "idempotency_mismatch",
            422,
            "The `Idempotency-Key` belongs to another request.",
            "Use a new key for every submission that is not a copy.",
        ),
    ),
    (
        TooManyOpen,
        Kind(
            "too_many_open",
            429,
            "The team has as many streams and waits open as it may.",
            "Close some, or poll instead.",
            retry_after_s=5,
        ),
    ),
    (
        OutputDenied,
        Kind(
            "output_denied",
            502,
            "The gateway may not fetch from where the output is.",
            "Ask operators to add its host to `BREAKWATER_OUTPUT_HOSTS`.",
        ),
    ),
    (
        Overloaded,
        Kind("overloaded", 503, "The gateway has as much in hand as it may.", "Try again.", retry_after_s=2),
    ),
    (
        StoreUnavailable,
        Kind(
            "store_unavailable",
            503,
            "Redis did not answer. Nothing was sent to WaveSpeed.",
            "Try again, submissions with the same `Idempotency-Key`.",
            retry_after_s=2,
        ),
    ),
    (
        AccountFault,
        Kind(
            "upstream_account",
            503,
            "WaveSpeed refuses the company's key or account. Nothing was charged.",
            "Tell the gateway's operators; it is not your key.",
            retry_after_s=60,
        ),
    ),
    (
        CapacityReached,
        Kind(
            "upstream_capacity",
            429,
            "The company's WaveSpeed account is at its limit; submissions wait then, uploads do not.",
            "Try again.",
            retry_after_s=10,
        ),
    ),
    (
        UpstreamRefused,
        Kind(
            "upstream_refused",
            0,
            "WaveSpeed refused the submission; status and text are its own. Nothing was charged.",
            "Correct what the text names.",
        ),
    ),
    (
        NeverSent,
        Kind(
            "upstream_unreachable",
            503,
            "WaveSpeed cannot be reached; nothing was started or charged.",
            "Try again.",
            retry_after_s=5,
        ),
    ),
    (
        ReadFailed,
        Kind(
            "upstream_unreadable",
            503,
            "WaveSpeed, or what keeps its outputs, gave no answer that can be passed on.",
            "Try again.",
            retry_after_s=5,
        ),
    ),
    (
        OutcomeUnknown,
        Kind(
            "upstream_outcome_unknown",
            502,
            "WaveSpeed may or may not have done it.",
            "Look before you try again: it may have been done.",
        ),
    ),
)

QUOTA: Final = Kind(
    "quota_exceeded",
    429,
    "A limit of the team would be passed; the text and `violated-policies` say which. Nothing was charged.",
    "Wait as long as `Retry-After` says.",
)
BUDGET: Final = Kind(
    "budget_exceeded",
    402,
    "What is left of the team's budget is too little. Nothing was charged.",
    "Wait for the next month, or ask operators for more.",
)
NO_METHOD: Final = Kind(
    "method_not_allowed", 405, "The path knows no such method.", "Use one that the `Allow` field names."
)
BROKEN: Final = Kind(
    "internal_error",
    500,
    "A fault of the gateway itself.",
    "Tell operators the `X-Request-Id`: the log has the reason under it.",
)


def kind_of(error: BreakwaterError) -> Kind:
    """What kind an error is; `BROKEN` for one that was not meant for a caller."""
    if isinstance(error, QuotaExceeded):
        return BUDGET if error.over_budget else QUOTA
    return next((kind for known, kind in _KINDS if isinstance(error, known)), BROKEN)


def kinds() -> Iterator[Kind]:
    """Every kind there is, in order of status; WaveSpeed's own comes last."""
    every = [*(kind for _, kind in _KINDS), QUOTA, BUDGET, NO_METHOD, BROKEN]
    yield from sorted(every, key=lambda kind: (kind.status or 1_000, kind.code))
