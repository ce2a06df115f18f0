"""`/admin/v1/upstream` described."""

from typing import Final

from openapi_pydantic import Operation, PathItem, RequestBody

from service.domain.capacity import AccountState, LimitInForce
from service.http.admin.account import Account, Pause
from service.http.description.operations import (
    EXAMPLE_TIME_MS,
    JSON,
    OPERATORS,
    json_answer,
    json_media,
    operation,
    schema_of,
)
from service.http.description.refusals import NO_OPERATOR, STORE_UNAVAILABLE, TOO_LARGE, Refusal, refusals
from service.usecases.pause_account import MAX_WHY

_PATH: Final = "/admin/v1/upstream"

_LIMITS: Final = (
    LimitInForce("concurrency", 300, 212, 212),
    LimitInForce("videos_per_minute", 500, 500, 143),
    LimitInForce("images_per_minute", 500, 500, 0),
)
_BUSY: Final = AccountState(
    limits=_LIMITS,
    waiting=18,
    oldest_waiting_ms=21_300,
    waiting_by_tenant={"acme": 17, "beta": 1},
    balance_micros=412_500_000,
    balance_at_ms=EXAMPLE_TIME_MS,
)
_PAUSED: Final = AccountState(
    limits=_LIMITS,
    waiting=18,
    oldest_waiting_ms=21_300,
    waiting_by_tenant={"acme": 17, "beta": 1},
    paused_by="operator",
    paused_at_ms=EXAMPLE_TIME_MS,
    paused_why="WaveSpeed is being maintained",
)


def paths(tag: str) -> dict[str, PathItem]:
    """The account, for operators."""
    show = _operation(
        tag,
        "read_account",
        "See where the company's account stands",
        "What WaveSpeed allows it, how much of that is used, who waits for it, and its balance.",
        "busy",
        _BUSY,
    )
    pause = _operation(
        tag,
        "pause_account",
        "Pause the account",
        "Nothing more is sent to WaveSpeed until it is resumed. Submissions are accepted and wait; what runs goes on.",
        "paused",
        _PAUSED,
        [Refusal.of_field("why", f"String should have at most {MAX_WHY} characters"), TOO_LARGE],
    )
    pause.requestBody = RequestBody(
        required=False,
        content={JSON: json_media(schema_of(Pause), {"why": {"why": "WaveSpeed is being maintained"}})},
    )
    resume = _operation(
        tag,
        "resume_account",
        "Resume the account",
        "Whoever paused it, an operator or WaveSpeed by refusing it; what holds submissions back after a refusal ends "
        "as well.",
        "busy",
        _BUSY,
    )
    return {
        _PATH: PathItem(get=show),
        f"{_PATH}/pause": PathItem(post=pause),
        f"{_PATH}/resume": PathItem(post=resume),
    }


def _operation(
    tag: str,
    operation_id: str,
    summary: str,
    description: str,
    name: str,
    example: AccountState,
    refused: list[Refusal] | None = None,
) -> Operation:
    """One operation that answers where the account stands then."""
    shown = Account.show(example).model_dump(mode="json")
    return operation(
        tag,
        operation_id,
        summary,
        description,
        answers={
            "200": json_answer("Where it stands.", Account, {name: shown}),
            **refusals(_PATH, [*(refused or []), NO_OPERATOR, STORE_UNAVAILABLE]),
        },
        security=OPERATORS,
    )
