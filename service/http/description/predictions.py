"""`/v1/predictions` described: submit, read, cancel, delete."""

from typing import Any, Final, Literal

from openapi_pydantic import Operation, PathItem, Schema
from pydantic import BaseModel, Field

from service.domain.answers import initial_answer
from service.domain.json_forms import json_bytes
from service.domain.predictions import Prediction, State
from service.domain.representations import native_prediction
from service.http.description.operations import (
    ACCEPTED_HEADERS,
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    LOCATION,
    PREDICTION_ID,
    WAITED,
    answer,
    component,
    cursor,
    json_answer,
    json_body,
    operation,
    parameter,
    prediction_links,
    schema_of,
)
from service.http.description.refusals import (
    CONTENDED,
    ENDED_OTHERWISE,
    MODEL_NOT_FOUND,
    MODEL_RETIRED,
    PREDICTION_NOT_FOUND,
    STORE_UNAVAILABLE,
    SUBMISSION,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.native.prediction_list import CURSOR, MAX_PAGE, METADATA, PAGE, STATES
from service.http.native.predictions import NewPrediction
from service.usecases.cancel import REASON as CANCELED

TAG: Final = "Predictions, native form"

_PREDICTIONS: Final = "/v1/predictions"
_BASE: Final = "https://breakwater.example.com"
_MODEL: Final = "openai/sora-2"
_INPUT: Final = {"prompt": "Waves break over a pier at dawn"}
_METADATA: Final = {"order": "A-1003"}


class ResultLink(BaseModel):
    """Where the result can be read by WaveSpeed's clients."""

    get: str = Field(description="The result in WaveSpeed's form, at this gateway.")


class NativePrediction(BaseModel):
    """A prediction in the gateway's own shape; events carry it as `data`."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    model: str
    status: Literal["queued", "created", "processing", "completed", "failed", "canceled", "expired"] = Field(
        description="All but the first three are final. `queued`: it waits for room in the company's account."
    )
    position: int | None = Field(
        None, ge=1, description="Of a queued one that is read: 1 is the next to be sent, if nobody else comes."
    )
    estimated_start_at: str | None = Field(
        None, description="Of the same: about when it will be sent; null while nothing is sent at all."
    )
    input: dict[str, Any] | None = Field(
        description="What was submitted; null for a large one, which is kept no longer than it takes to send it."
    )
    outputs: list[str | dict[str, Any]] = Field(description="URLs of what was made; empty until `completed`.")
    has_nsfw_contents: list[bool] | None = Field(description="For each output, whether it was found unsafe.")
    error: str | None = Field(description="Why there is no result.")
    timings: dict[str, Any]
    metadata: dict[str, str] = Field(description="Your own notes, as they were submitted.")
    created_at: str = Field(description="RFC 3339, UTC, as all times.")
    started_at: str | None = Field(description="When WaveSpeed took it on.")
    ended_at: str | None
    output_expires_at: str | None = Field(description="How long WaveSpeed keeps the outputs.")
    sequence: int = Field(description="Number of its newest event; each event of a prediction has the next one.")
    urls: ResultLink


class NativePredictionPage(BaseModel):
    """Predictions, newest first."""

    data: list[NativePrediction]
    next_cursor: str | None = Field(description="Where the next page begins; null on the last.")


def paths() -> dict[str, PathItem]:
    """Predictions in the native form."""
    return {
        _PREDICTIONS: PathItem(get=_list(), post=_create()),
        f"{_PREDICTIONS}/{{id}}": PathItem(get=_read(), delete=_delete()),
        f"{_PREDICTIONS}/{{id}}/cancel": PathItem(post=_cancel()),
    }


def _list() -> Operation:
    """A page."""
    moment = Schema(type="string", schema_format="date-time")
    time = "2026-01-01T00:00:00Z"
    page = {"data": [shown(started_at_ms=EXAMPLE_TIME_MS + 900)], "next_cursor": None}
    return operation(
        TAG,
        "list_predictions",
        "List predictions",
        "Your team's own, newest first, as long as they are kept: seven days from their end. Filters are put together "
        "with *and*. A page may be shorter than asked for, or empty, and still have one after it.",
        parameters=[
            parameter("status", "query", "With this status.", Schema(type="string", enum=list(STATES)), "completed"),
            parameter("model", "query", "Of this model.", Schema(type="string"), _MODEL),
            parameter("created_after", "query", "Made at this time or later.", moment, time),
            parameter("created_before", "query", "Made at this time or earlier.", moment, "2026-01-02T00:00:00Z"),
            parameter(
                f"{METADATA}NAME",
                "query",
                f"With this metadata: `{METADATA}order=A-1003` finds what was submitted with `order` as `A-1003`. Any "
                "name in the place of `NAME`, several for several.",
                Schema(type="string"),
                "A-1003",
            ),
            parameter(
                "limit", "query", "How many.", Schema(type="integer", minimum=1, maximum=MAX_PAGE, default=PAGE), 20
            ),
            cursor("cursor", "`next_cursor` of the page before.", CURSOR, f"{EXAMPLE_TIME_MS}-{EXAMPLE_ID}"),
        ],
        answers={
            "200": json_answer("A page.", NativePredictionPage, {"predictions": page}),
            **refusals(
                _PREDICTIONS,
                [Refusal.of_query("limit", f"must be 1 to {MAX_PAGE}"), UNAUTHENTICATED, STORE_UNAVAILABLE],
            ),
        },
    )


def _create() -> Operation:
    """Submit."""
    wanted = {"model": _MODEL, "input": _INPUT, "webhook": "https://hooks.example.com/videos", "metadata": _METADATA}
    wrong = Refusal.of_field("input", "Field required")
    return operation(
        TAG,
        "create_prediction",
        "Submit a prediction",
        "The same as a submission in WaveSpeed's form, to any model of the catalogue; `input` is what that model's "
        "own path takes, without the switches. The answer comes within seconds, long before the result does, unless "
        "you prefer to wait for it.",
        parameters=[component("parameters", "IdempotencyKey"), component("parameters", "Prefer")],
        body=json_body(schema_of(NewPrediction), {"prediction": wanted}),
        answers={
            "202": json_answer(
                "Accepted: read `Location` until the status is final.",
                NativePrediction,
                {"created": shown(started_at_ms=EXAMPLE_TIME_MS + 900)},
                {**LOCATION, **ACCEPTED_HEADERS, **WAITED},
                prediction_links("/id"),
            ),
            **refusals(_PREDICTIONS, [wrong, MODEL_NOT_FOUND, MODEL_RETIRED, *SUBMISSION]),
        },
    )


def _read() -> Operation:
    """Read one."""
    started, ended = EXAMPLE_TIME_MS + 900, EXAMPLE_TIME_MS + 48_210
    made = {"outputs": ["https://media.example.com/pier.mp4"], "has_nsfw_contents": [False]}
    failed = {"error": "the prompt was rejected"}
    return operation(
        TAG,
        "get_prediction",
        "Read a prediction in the native form",
        "Whichever way it was submitted. Answered from what the gateway knows: WaveSpeed is not asked again. "
        "A prediction that failed is a 200 whose `status` is `failed`.",
        parameters=[PREDICTION_ID, component("parameters", "Prefer")],
        answers={
            "200": json_answer(
                "The prediction as it is now.",
                NativePrediction,
                {
                    "processing": shown(State.PROCESSING, started_at_ms=started, sequence=1),
                    "completed": shown(State.COMPLETED, made, started_at_ms=started, ended_at_ms=ended, sequence=2),
                    "failed": shown(State.FAILED, failed, started_at_ms=started, ended_at_ms=ended, sequence=2),
                },
                WAITED,
            ),
            **refusals(f"{_PREDICTIONS}/{EXAMPLE_ID}", [UNAUTHENTICATED, PREDICTION_NOT_FOUND, STORE_UNAVAILABLE]),
        },
    )


def _cancel() -> Operation:
    """Cancel one."""
    return operation(
        TAG,
        "cancel_prediction",
        "Cancel a prediction",
        "It ends at once, as `canceled`, and frees its place in your concurrency. WaveSpeed cannot stop what it "
        "has begun: if the video is made after all it is paid for, and its outputs are added to the prediction; if "
        "not, the money held for it is given back. Canceling twice is the same as once.",
        parameters=[PREDICTION_ID],
        answers={
            "200": json_answer(
                "The prediction, canceled.",
                NativePrediction,
                {
                    "canceled": shown(
                        State.CANCELED,
                        {"error": CANCELED},
                        started_at_ms=EXAMPLE_TIME_MS + 900,
                        ended_at_ms=EXAMPLE_TIME_MS + 12_000,
                        sequence=2,
                    )
                },
            ),
            **refusals(
                f"{_PREDICTIONS}/{EXAMPLE_ID}/cancel",
                [UNAUTHENTICATED, PREDICTION_NOT_FOUND, ENDED_OTHERWISE, STORE_UNAVAILABLE],
            ),
        },
    )


def _delete() -> Operation:
    """Delete one."""
    return operation(
        TAG,
        "delete_prediction",
        "Delete a prediction",
        "Its input, outputs and metadata are wiped at once, it is in no list any more, and nothing more is sent about "
        "it. One that is going on is canceled. What it cost stays in your usage.",
        parameters=[PREDICTION_ID],
        answers={
            "204": answer("It is gone."),
            **refusals(
                f"{_PREDICTIONS}/{EXAMPLE_ID}", [UNAUTHENTICATED, PREDICTION_NOT_FOUND, CONTENDED, STORE_UNAVAILABLE]
            ),
        },
    )


def shown(
    state: State = State.CREATED,
    words: dict[str, Any] | None = None,
    *,
    started_at_ms: int = 0,
    ended_at_ms: int = 0,
    sequence: int = 0,
) -> dict[str, Any]:
    """A prediction as it is answered, made by the code that makes the real ones."""
    prediction = Prediction(
        EXAMPLE_ID,
        "acme",
        _MODEL,
        state,
        EXAMPLE_TIME_MS,
        input=json_bytes(_INPUT),
        started_at_ms=started_at_ms,
        ended_at_ms=ended_at_ms,
        sequence=sequence,
        metadata=_METADATA,
        answer=initial_answer(EXAMPLE_ID, _MODEL, EXAMPLE_TIME_MS) | (words or {}),
    )
    return native_prediction(prediction, _BASE)
