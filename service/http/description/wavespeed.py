"""`/api/v3` described: what a prediction is there, reading it, and a team's own account."""

from typing import Any, Final, Literal

from openapi_pydantic import Operation, PathItem
from pydantic import BaseModel, ConfigDict, Field

from service.domain.answers import initial_answer
from service.domain.predictions import Prediction, State
from service.domain.representations import wavespeed_prediction
from service.http.description.envelope import enveloped_answer
from service.http.description.operations import (
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    PREDICTION_ID,
    operation,
)
from service.http.description.refusals import (
    PREDICTION_NOT_FOUND,
    STORE_UNAVAILABLE,
    UNAUTHENTICATED,
    refusals,
)
from service.http.wavespeed.account import UNLIMITED_BALANCE

TAG: Final = "Predictions"

_BASE: Final = "https://breakwater.example.com"
_VIDEO: Final = "https://media.example.com/pier.mp4"


class Links(BaseModel):
    """Where to go on."""

    get: str = Field(description="Where the result is read: always at this gateway.")


class WaveSpeedPrediction(BaseModel):
    """A prediction in WaveSpeed's shape. Fields WaveSpeed adds are passed on."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(pattern="^[0-9a-f]{32}$", description="The gateway's id of the prediction.")
    model: str
    status: Literal["created", "processing", "completed", "failed"] = Field(
        description="`completed` and `failed` are final."
    )
    outputs: list[str | dict[str, Any]] = Field(
        description="URLs of what was made, or, where `enable_base64_output` asked for it, the files themselves in "
        "base64; empty until `completed`. WaveSpeed keeps them for seven days."
    )
    has_nsfw_contents: list[bool] | None = Field(description="For each output, whether it was found unsafe.")
    error: str = Field(description="Why it failed, or with code 5004 what to do now; otherwise empty.")
    code: int = Field(0, description="WaveSpeed's task code, if there is one; 5004: still going, read it later.")
    urls: Links
    created_at: str = Field(description="RFC 3339, UTC.")
    executionTime: float = Field(description="Milliseconds.")
    timings: dict[str, Any]


class WebhookSecret(BaseModel):
    """A tenant's signing secret."""

    secret: str = Field(
        description="`whsec_` and base64; the text after the prefix is the key, not what it decodes to."
    )


class Balance(BaseModel):
    """What is left of a tenant's own budget."""

    balance: float = Field(
        ge=0, description=f"Dollars left this month; {UNLIMITED_BALANCE:,} for a team without a budget."
    )
    currency: Literal["USD"]


def paths() -> dict[str, PathItem]:
    """Results, the webhook secret, the balance."""
    result, old = "/api/v3/predictions/{id}/result", "/api/v2/predictions/{id}/result"
    return {
        result: PathItem(get=read(result, "read_result", "Read a prediction")),
        old: PathItem(get=read(old, "read_result_v2", "Read a prediction, where old clients look for it")),
        "/api/v3/webhook/secret": PathItem(get=_webhook_secret()),
        "/api/v3/balance": PathItem(get=_balance("/api/v3/balance", "read_balance", "Read your balance")),
        "/api/v3/account/balance": PathItem(
            get=_balance("/api/v3/account/balance", "read_account_balance", "Read your balance, where old clients look")
        ),
    }


def read(path: str, operation_id: str, summary: str) -> Operation:
    """Read one prediction."""
    made: dict[str, Any] = {"outputs": [_VIDEO], "has_nsfw_contents": [False], "executionTime": 48_210}
    possible = [UNAUTHENTICATED, PREDICTION_NOT_FOUND, STORE_UNAVAILABLE]
    return operation(
        TAG,
        operation_id,
        summary,
        "Answered from what the gateway knows, however often it is asked: WaveSpeed is not asked again. "
        "A prediction that failed is a 200 whose `data.status` is `failed`.",
        parameters=[
            PREDICTION_ID,
        ],
        answers={
            "200": enveloped_answer(
                "The prediction as it is now.",
                WaveSpeedPrediction,
                {
                    "created": example_data(),
                    "completed": example_data(status="completed", **made),
                    "failed": example_data(status="failed", error="the prompt was rejected"),
                },
            ),
            **refusals(path.replace("{id}", EXAMPLE_ID), possible),
        },
    )


def _webhook_secret() -> Operation:
    """Read the secret of per-request callbacks."""
    example = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
    return operation(
        TAG,
        "read_webhook_secret",
        "Read the secret your `?webhook=` callbacks are signed with",
        "It is your team's own. Registered endpoints have secrets of their own, shown when they are created.",
        answers={
            "200": enveloped_answer("The secret.", WebhookSecret, {"secret": example}),
            **refusals("/api/v3/webhook/secret", [UNAUTHENTICATED, STORE_UNAVAILABLE]),
        },
    )


def _balance(path: str, operation_id: str, summary: str) -> Operation:
    """Read what is left of the budget."""
    return operation(
        TAG,
        operation_id,
        summary,
        "What is left of your team's own budget for the month, never the company's balance. `/v1/quota` says more.",
        answers={
            "200": enveloped_answer("The balance.", Balance, {"balance": {"balance": 412.5, "currency": "USD"}}),
            **refusals(path, [UNAUTHENTICATED, STORE_UNAVAILABLE]),
        },
    )


def example_data(model_id: str = "openai/sora-2", **changed: Any) -> dict[str, Any]:
    """A prediction in WaveSpeed's shape, made by the code that makes the real ones."""
    words = initial_answer(EXAMPLE_ID, model_id, EXAMPLE_TIME_MS) | changed
    prediction = Prediction(EXAMPLE_ID, "acme", model_id, State.CREATED, EXAMPLE_TIME_MS, answer=words)
    return wavespeed_prediction(prediction, _BASE)
