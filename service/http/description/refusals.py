"""The error answers of an operation. Their bodies are what the gateway really answers, from the same table."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from openapi_pydantic import Example, MediaType, Response
from pydantic import BaseModel, Field
from pydantic_core import from_json
from starlette.requests import Request

from service.domain.errors import (
    AccountFault,
    AlreadyExists,
    BreakwaterError,
    CallbackDenied,
    CannotFire,
    CapacityReached,
    Conflict,
    FieldError,
    IdempotencyConflict,
    IdempotencyMismatch,
    InvalidInput,
    ModelDenied,
    ModelRetired,
    NeverSent,
    NoSuchPart,
    NotFound,
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
from service.domain.limits import LimitName, LimitState, QuotaExceeded
from service.http.description.operations import JSON, REFUSAL_HEADERS, answer, schema_of
from service.http.error_table import PayloadTooLarge
from service.http.problems import problem_of, render

_REQUEST_ID: Final = "checkout-7f3a"


class WaveSpeedError(BaseModel):
    """An error in WaveSpeed's form."""

    code: int = Field(description="The HTTP status again.")
    message: str = Field(description="What is wrong, for humans.")


class WrongField(BaseModel):
    """One thing wrong with one field."""

    field: str = Field(description="Dotted path of the field; empty for the body as a whole.")
    message: str


class Problem(BaseModel):
    """An error as RFC 9457 problem details."""

    type: str = Field(description="`about:blank`, or the URI of a kind that has one.")
    title: str = Field(description="The HTTP status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, for humans.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="The kind of error, for programs.")
    request_id: str = Field(description="The same as in X-Request-Id.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: list[WrongField] = Field(description="Every wrong field, for `invalid_input`.")
    violated_policies: list[LimitName] = Field(
        default_factory=list,
        alias="violated-policies",
        description="The limits that refuse, for `quota_exceeded` and `budget_exceeded`; no other has it.",
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way an operation can fail: an error as it may be raised, and what it means to a caller."""

    error: BreakwaterError
    meaning: str

    @staticmethod
    def of_field(field: str, message: str) -> "Refusal":
        """A body that is not JSON, or has wrong fields."""
        error = InvalidInput([FieldError(field, message)])
        return Refusal(error, "Not JSON, or fields that are wrong; every one is named. Nothing was written or charged.")

    @staticmethod
    def of_query(name: str, message: str) -> "Refusal":
        """A query parameter that is wrong."""
        return Refusal(InvalidInput([FieldError(name, message)]), "A query parameter is wrong; `errors` names it.")


UNAUTHENTICATED: Final = Refusal(
    Unauthenticated("unknown API key"), "No API key, or one that is malformed, unknown, expired or revoked."
)
TENANT_SUSPENDED: Final = Refusal(
    TenantSuspended("tenant acme is suspended"), "The key is good, but the team may not submit now."
)
MODEL_DENIED: Final = Refusal(
    ModelDenied("tenant acme may not use model openai/sora-2"), "The team's list of models does not name this one."
)
BUDGET_EXCEEDED: Final = Refusal(
    QuotaExceeded((LimitState("budget", 500_000_000, 250_000, 1_209_600_000, 2_678_400, "refused"),)),
    "What is left of the team's budget this month is too little for this run. Nothing was charged.",
)
QUOTA_EXCEEDED: Final = Refusal(
    QuotaExceeded((LimitState("rate", 10, 0, 4_000, 60, "refused"), LimitState("daily", 500, 123, 36_000_000, 86_400))),
    "A limit of the team's own: rate, concurrency, day or month. Nothing was charged.",
)
IDEMPOTENCY_CONFLICT: Final = Refusal(
    IdempotencyConflict("a submission with this Idempotency-Key is being answered just now"),
    "Another copy of this submission is being answered; a moment later its answer can be had.",
)
IDEMPOTENCY_MISMATCH: Final = Refusal(
    IdempotencyMismatch("this Idempotency-Key was used for another request"),
    "The key belongs to a submission that asked for something else.",
)
MODEL_NOT_FOUND: Final = Refusal(
    NotFound("unknown model 'openai/sora-9'; available: openai/sora-2"), "The catalogue has no such model."
)
MODEL_RETIRED: Final = Refusal(
    ModelRetired("model openai/sora-1 has been retired; use openai/sora-2 instead"),
    "The model is gone; the text says what to use.",
)
PREDICTION_NOT_FOUND: Final = Refusal(
    NotFound("prediction not found"), "There is none of this id, or it is another team's."
)
DELETED_MEANWHILE: Final = Refusal(
    NotFound("prediction not found"), "The prediction was deleted while its end was waited for."
)
CONTENDED: Final = Refusal(
    Conflict("the prediction is being changed by others; try again"), "Others change it at the same time."
)
OUTPUT_NOT_FOUND: Final = Refusal(
    NotFound("the prediction has 1 outputs, counted from 0"), "The prediction has no output of this number."
)
NO_OUTPUT_YET: Final = Refusal(
    Conflict("the prediction has no outputs yet: it is processing"), "The prediction is still going."
)
OUTPUT_GONE: Final = Refusal(
    OutputGone("the output is no longer kept"), "WaveSpeed keeps outputs for seven days; this one is gone."
)
NO_SUCH_PART: Final = Refusal(NoSuchPart("bytes */48211"), "`Range` asks for a part that the output does not have.")
OUTPUT_DENIED: Final = Refusal(
    OutputDenied("the output may not be fetched: media.example.com is not in BREAKWATER_OUTPUT_HOSTS"),
    "The gateway's operators do not allow it to fetch from where the output is.",
)
OUTPUT_UNREADABLE: Final = Refusal(
    ReadFailed("no output: status 500"), "Where the output is kept there was no answer that could be passed on."
)
TOO_MANY_OPEN: Final = Refusal(
    TooManyOpen("tenant acme has 1000 streams open here already; close some first"),
    "The team has as many of these open as it may.",
)
TOO_LARGE: Final = Refusal(
    PayloadTooLarge("the body is larger than 1048576 bytes"), "The body is larger than the gateway accepts."
)
CALLBACK_DENIED: Final = Refusal(
    CallbackDenied("hooks.example.com is not in BREAKWATER_CALLBACK_ALLOW"),
    "The URL may not be called; the text says which rule decided.",
)
TOO_MANY_ENDPOINTS: Final = Refusal(
    TooMany("tenant acme has 50 endpoints already; delete one first"), "The team has as many endpoints as it may."
)
CANNOT_FIRE: Final = Refusal(
    CannotFire([FieldError("events.0", "unknown event type 'prediction.done'; known: prediction.completed, ...")]),
    "It waits for something that never happens; `errors` names it.",
)
ENDPOINT_NOT_FOUND: Final = Refusal(
    NotFound("endpoint not found"), "There is none of this id, or it is another team's."
)
ENDPOINT_CONTENDED: Final = Refusal(
    Conflict("the endpoint is being changed by somebody else; try again"), "Others change it at the same time."
)
ENDPOINT_DISABLED: Final = Refusal(
    Conflict("the endpoint is disabled; enable it first"), "Nothing can be sent there as it is."
)
TOO_MANY_TESTS: Final = Refusal(
    Overloaded("too many tests are under way; try again in a moment"), "This gateway waits for as many as it may."
)
DELIVERY_NOT_FOUND: Final = Refusal(
    NotFound("delivery not found"), "There is none of this id, or it is another team's, or it is no longer kept."
)
UNSENDABLE: Final = Refusal(
    Conflict("its endpoint is disabled; enable it first"),
    "Its endpoint is disabled or deleted, its event no longer kept, or an attempt is being made.",
)
OVERLOADED: Final = Refusal(
    Overloaded("too many submissions are in flight"), "This gateway has as much in flight as it may."
)
STORE_UNAVAILABLE: Final = Refusal(
    StoreUnavailable("Redis cannot serve at the moment"),
    "The store did not answer in time: what was asked may have been done or not.",
)
UPSTREAM_REFUSED: Final = Refusal(
    UpstreamRefused(400, "image: cannot be fetched"), "WaveSpeed refused; status and words are its own."
)
UPSTREAM_UNREADABLE: Final = Refusal(
    ReadFailed("no answer: TimeoutError"), "WaveSpeed gave no answer that could be read; try again."
)
UPSTREAM_REFUSED_ODDLY: Final = Refusal(
    UpstreamRefused(502, "refused"), "WaveSpeed refused without saying in which way."
)
UPSTREAM_CAPACITY: Final = Refusal(
    CapacityReached(429, "You have reached your concurrency limit"),
    "The rate or concurrency of the company's WaveSpeed account is used up.",
)
UPSTREAM_ACCOUNT: Final = Refusal(
    AccountFault(402), "WaveSpeed refuses the company's key or account. Your request is not at fault."
)
UPSTREAM_UNREACHABLE: Final = Refusal(
    NeverSent("cannot connect to WaveSpeed"), "WaveSpeed cannot be reached; nothing was started."
)
SUBMISSION: Final = (
    UNAUTHENTICATED,
    TENANT_SUSPENDED,
    MODEL_DENIED,
    BUDGET_EXCEEDED,
    QUOTA_EXCEEDED,
    IDEMPOTENCY_CONFLICT,
    IDEMPOTENCY_MISMATCH,
    TOO_LARGE,
    CALLBACK_DENIED,
    UPSTREAM_REFUSED,
    UPSTREAM_REFUSED_ODDLY,
    OVERLOADED,
    STORE_UNAVAILABLE,
    UPSTREAM_ACCOUNT,
    UPSTREAM_UNREACHABLE,
)
"""How a submission can fail on either face, beside a wrong body."""

NO_OPERATOR: Final = Refusal(Unauthenticated("wrong admin token"), "No admin token, or not the right one.")
TENANT_NOT_FOUND: Final = Refusal(NotFound("tenant acme does not exist"), "There is no such tenant.")
KEY_NOT_FOUND: Final = Refusal(
    NotFound("tenant acme has no key key_019b76da80007a1b8c2d3e4f5a6b7c8d"), "There is no such tenant, or no such key."
)
TENANT_EXISTS: Final = Refusal(
    AlreadyExists("tenant acme already exists"), "Another request created it at the same moment; ask again."
)
FIELD_MANAGED: Final = Refusal(
    Conflict("limits.daily: managed by the tenants file; change it there, or force it"),
    "The tenants file manages a field this would change.",
)
ENDED_OTHERWISE: Final = Refusal(
    Conflict("the prediction cannot be canceled: it is completed"), "It has ended already, and not by being canceled."
)
STILL_GOING: Final = Refusal(
    Conflict("tenant acme has 2 predictions that have not ended; suspend it and wait for them"),
    "Predictions of the tenant go on.",
)
TOO_MANY_KEYS: Final = Refusal(
    TooMany("tenant acme has 100 keys already; revoke one first"), "The tenant has as many keys as it may."
)
NOT_ADDRESSED: Final = Refusal(NotFound("not found"), "The address is not one that the gateway gave to WaveSpeed.")
NOT_SIGNED: Final = Refusal(
    Unauthenticated("the callback is not signed by WaveSpeed, or too old"), "Not signed by WaveSpeed, or too old."
)
_FAULT: Final = Refusal(BreakwaterError(), "A fault of the gateway itself; its log has the reason.")


def refusals(path: str, possible: Iterable[Refusal]) -> dict[str, Response]:
    """The error answers of the operation at `path`, by status, with one example for each way it can fail."""
    examples: dict[str, dict[str, Example]] = defaultdict(dict)
    headers: dict[str, set[str]] = defaultdict(set)
    content_type = ""
    for refusal in (*possible, _FAULT):
        problem = problem_of(refusal.error)
        rendered = render(_request_for(path), problem)
        status, content_type = str(rendered.status_code), rendered.headers["content-type"]
        examples[status][problem.code] = Example(summary=refusal.meaning, value=from_json(bytes(rendered.body)))
        headers[status] |= {name for name in REFUSAL_HEADERS if name in rendered.headers}
    schema = schema_of(WaveSpeedError if content_type == JSON else Problem)
    return {
        status: answer(
            HTTPStatus(int(status)).phrase,
            {content_type: MediaType(media_type_schema=schema, examples=dict(found))},
            {name: header for name, header in REFUSAL_HEADERS.items() if name in headers[status]},
        )
        for status, found in examples.items()
    }


def _request_for(path: str) -> Request:
    """A request that errors can be rendered for; the form of an error depends on the path."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    return Request(scope | {"breakwater.request_id": _REQUEST_ID})
