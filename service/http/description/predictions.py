"""`/v1/predictions` and `/v1/quota` described."""

from typing import Any, Final, Literal

from openapi_pydantic import Parameter, PathItem, Schema
from pydantic import BaseModel, Field

from service.domain.predictions import Prediction, State, initial_answer, json_bytes, rfc3339
from service.domain.representations import native_prediction
from service.http.description.operations import (
    ACCEPTED_HEADERS,
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    LOCATION,
    QUOTA_HEADERS,
    component,
    json_answer,
    json_body,
    operation,
    parameter,
    schema_of,
)
from service.http.description.refusals import (
    ENDED_OTHERWISE,
    MODEL_NOT_FOUND,
    PREDICTION_NOT_FOUND,
    STORE_UNAVAILABLE,
    SUBMISSION,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.native.predictions import NewPrediction
from service.http.native.quota import LimitShown, MoneyShown, Quota
from service.usecases.cancel import REASON as CANCELED

TAG: Final = "Predictions, native form"
QUOTA_TAG: Final = "Limits"

_PREDICTIONS: Final = "/v1/predictions"
_BASE: Final = "https://breakwater.example.com"
_MODEL: Final = "openai/sora-2"
_INPUT: Final = {"prompt": "Waves break over a pier at dawn"}


class ResultLink(BaseModel):
    """Where the result can be read by WaveSpeed's clients."""

    get: str = Field(description="The result in WaveSpeed's form, at this gateway.")


class NativePrediction(BaseModel):
    """A prediction in the gateway's own shape; events carry it as `data`."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    model: str
    status: Literal["created", "processing", "completed", "failed", "canceled", "expired"] = Field(
        description="All but `created` and `processing` are final."
    )
    input: dict[str, Any] | None = Field(
        description="What was submitted; null for a large one, which is kept no longer than it takes to send it."
    )
    outputs: list[str | dict[str, Any]] = Field(description="URLs of what was made; empty until `completed`.")
    has_nsfw_contents: list[bool] | None = Field(description="For each output, whether it was found unsafe.")
    error: str | None = Field(description="Why there is no result.")
    timings: dict[str, Any]
    created_at: str = Field(description="RFC 3339, UTC, as all times.")
    started_at: str | None = Field(description="When WaveSpeed took it on.")
    ended_at: str | None
    output_expires_at: str | None = Field(description="How long WaveSpeed keeps the outputs.")
    sequence: int = Field(description="Number of its newest event; each event of a prediction has the next one.")
    urls: ResultLink


def paths() -> dict[str, PathItem]:
    """Predictions in the native form, and the limits they count against."""
    return {
        _PREDICTIONS: _create(),
        f"{_PREDICTIONS}/{{id}}": _read(),
        f"{_PREDICTIONS}/{{id}}/cancel": _cancel(),
        "/v1/quota": _quota(),
    }


def _create() -> PathItem:
    """Submit."""
    wanted = {"model": _MODEL, "input": _INPUT, "webhook": "https://hooks.example.com/videos"}
    wrong = Refusal.of_field("input", "Field required")
    return PathItem(
        post=operation(
            TAG,
            "create_prediction",
            "Submit a prediction",
            "The same as a submission in WaveSpeed's form, to any model of the catalogue; `input` is what that model's "
            "own path takes, without the switches. The answer comes within seconds, long before the result does.",
            parameters=[component("parameters", "IdempotencyKey")],
            body=json_body(schema_of(NewPrediction), {"prediction": wanted}),
            answers={
                "202": json_answer(
                    "Accepted: read `Location` until the status is final.",
                    NativePrediction,
                    {"created": _shown(started_at_ms=EXAMPLE_TIME_MS + 900)},
                    {**LOCATION, **ACCEPTED_HEADERS},
                ),
                **refusals(_PREDICTIONS, [wrong, MODEL_NOT_FOUND, *SUBMISSION]),
            },
        )
    )


def _read() -> PathItem:
    """Read one."""
    started, ended = EXAMPLE_TIME_MS + 900, EXAMPLE_TIME_MS + 48_210
    made = {"outputs": ["https://media.example.com/pier.mp4"], "has_nsfw_contents": [False]}
    failed = {"error": "the prompt was rejected"}
    return PathItem(
        get=operation(
            TAG,
            "get_prediction",
            "Read a prediction in the native form",
            "Whichever way it was submitted. Answered from what the gateway knows: WaveSpeed is not asked again. "
            "A prediction that failed is a 200 whose `status` is `failed`.",
            parameters=[_id()],
            answers={
                "200": json_answer(
                    "The prediction as it is now.",
                    NativePrediction,
                    {
                        "processing": _shown(State.PROCESSING, started_at_ms=started, sequence=1),
                        "completed": _shown(
                            State.COMPLETED, made, started_at_ms=started, ended_at_ms=ended, sequence=2
                        ),
                        "failed": _shown(State.FAILED, failed, started_at_ms=started, ended_at_ms=ended, sequence=2),
                    },
                ),
                **refusals(f"{_PREDICTIONS}/{EXAMPLE_ID}", [UNAUTHENTICATED, PREDICTION_NOT_FOUND, STORE_UNAVAILABLE]),
            },
        )
    )


def _cancel() -> PathItem:
    """Cancel one."""
    return PathItem(
        post=operation(
            TAG,
            "cancel_prediction",
            "Cancel a prediction",
            "It ends at once, as `canceled`, and frees its place in your concurrency. WaveSpeed cannot stop what it "
            "has begun: if the video is made after all it is paid for, and its outputs are added to the prediction; if "
            "not, the money held for it is given back. Canceling twice is the same as once.",
            parameters=[_id()],
            answers={
                "200": json_answer(
                    "The prediction, canceled.",
                    NativePrediction,
                    {
                        "canceled": _shown(
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
    )


def _id() -> Parameter:
    """The prediction in the path."""
    return parameter(
        "id",
        "path",
        "The prediction's id, from the answer to its submission.",
        Schema(type="string", pattern="^[0-9a-f]{32}$"),
        EXAMPLE_ID,
    )


def _quota() -> PathItem:
    """Read the limits."""
    month = rfc3339(EXAMPLE_TIME_MS + 31 * 86_400_000)
    rate = LimitShown(
        name="rate", limit=10, used=1, left=9, window_s=60, resets_at=rfc3339(EXAMPLE_TIME_MS + 6_000), shadow=False
    )
    slots = LimitShown(name="concurrency", limit=8, used=5, left=3, window_s=None, resets_at=None, shadow=False)
    budget = LimitShown(
        name="budget", limit="500.00", used="87.50", left="412.50", window_s=2_678_400, resets_at=month, shadow=False
    )
    money = MoneyShown(month="2026-01", held_usd="2.00", settled_usd="85.50", released_usd="1.20")
    return PathItem(
        get=operation(
            QUOTA_TAG,
            "read_quota",
            "Read where your limits stand",
            "Every limit your team has, how much of it is used and when it resets, and the month's money. Reading "
            "spends nothing. A limit that would be passed refuses a submission with 429, the budget with 402.",
            answers={
                "200": json_answer(
                    "The limits and the money.",
                    Quota,
                    {"quota": Quota(limits=[rate, slots, budget], money=money).model_dump()},
                    QUOTA_HEADERS,
                ),
                **refusals("/v1/quota", [UNAUTHENTICATED, STORE_UNAVAILABLE]),
            },
        )
    )


def _shown(
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
        answer=initial_answer(EXAMPLE_ID, _MODEL, EXAMPLE_TIME_MS) | (words or {}),
    )
    return native_prediction(prediction, _BASE)
