"""`/api/v3` described: one path for each model of the catalogue, and both forms of reading a result."""

from typing import Any, Final, Literal

from openapi_pydantic import Operation, PathItem, Schema
from pydantic import BaseModel, ConfigDict, Field

from service.domain.callback_url import MAX_URL
from service.domain.catalogue import Catalogue, Model
from service.domain.money import dollars
from service.domain.predictions import Prediction, State, initial_answer
from service.domain.representations import wavespeed_prediction
from service.http.description.envelope import enveloped_answer
from service.http.description.inputs import component_name, example_input
from service.http.description.operations import (
    ACCEPTED_HEADERS,
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    PREDICTION_ID,
    component,
    json_body,
    operation,
    parameter,
    prediction_links,
)
from service.http.description.refusals import (
    DELETED_MEANWHILE,
    PREDICTION_NOT_FOUND,
    STORE_UNAVAILABLE,
    SUBMISSION,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.wavespeed.account import UNLIMITED_BALANCE
from service.http.wavespeed.submit import TRAVELLING_HEADERS

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
    error: str = Field(description="Why it failed; otherwise empty.")
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


def paths(catalogue: Catalogue) -> dict[str, PathItem]:
    """Every path of WaveSpeed's face."""
    models = {f"/api/v3/{model.id}": PathItem(post=_submit(model)) for model in catalogue}
    result, old = "/api/v3/predictions/{id}/result", "/api/v2/predictions/{id}/result"
    return models | {
        result: PathItem(get=read(result, "read_result", "Read a prediction")),
        old: PathItem(get=read(old, "read_result_v2", "Read a prediction, where old clients look for it")),
        "/api/v3/webhook/secret": PathItem(get=_webhook_secret()),
        "/api/v3/balance": PathItem(get=_balance()),
    }


def _submit(model: Model) -> Operation:
    """Submit to one model."""
    example = example_input(model)
    required = model.inputs.get("required") or ["input"]
    travelling = ", ".join(f"`{header}`" for header in TRAVELLING_HEADERS)
    return operation(
        TAG,
        f"submit_{component_name(model.id)}",
        f"Submit to {model.name}",
        f"{_price(model)} The answer comes as soon as WaveSpeed has accepted the "
        "submission, and within seconds in any case. Input is checked before anything is sent.\n\n"
        "Beside the model's own fields the body may have WaveSpeed's switches. `enable_sync_mode`: the answer is held "
        "until the run has ended, or, after a time that the gateway's operators set, given as it stands, with the task "
        "code 5004. `enable_base64_output`: the outputs are the files themselves; not together with a callback. "
        "`webhook_url` is the same as `?webhook=`.\n\n"
        f"Of the request's headers only these go on to WaveSpeed: {travelling}.",
        parameters=[
            parameter(
                "webhook",
                "query",
                "A URL to call once, when the prediction has ended. It must be one your team may use.",
                Schema(type="string", schema_format="uri", maxLength=MAX_URL),
                "https://hooks.example.com/videos",
            ),
            component("parameters", "IdempotencyKey"),
        ],
        body=json_body(
            component("schemas", component_name(model.id)), {"input": example} if example is not None else {}
        ),
        answers={
            "200": enveloped_answer(
                "Accepted: read `data.urls.get` until the status is final.",
                WaveSpeedPrediction,
                {"created": example_data(model.id)},
                ACCEPTED_HEADERS,
                prediction_links("/data/id"),
            ),
            **refusals(
                f"/api/v3/{model.id}",
                [Refusal.of_field(str(required[0]), "is required"), DELETED_MEANWHILE, *SUBMISSION],
            ),
        },
    )


def _price(model: Model) -> str:
    """What a run costs, and what decides that."""
    price, usual = model.price, f"${dollars(model.usual_price_micros)}"
    if not price.second_usd:
        return f"One run costs {usual}."
    decisive = f"`{price.seconds_input}`" + (f" and `{price.size_input}`" if price.size_factors else "")
    return f"One run of {price.default_s} s costs {usual}; {decisive} may change that."


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


def _balance() -> Operation:
    """Read what is left of the budget."""
    return operation(
        TAG,
        "read_balance",
        "Read your balance",
        "What is left of your team's own budget for the month, never the company's balance. `/v1/quota` says more.",
        answers={
            "200": enveloped_answer("The balance.", Balance, {"balance": {"balance": 412.5}}),
            **refusals("/api/v3/balance", [UNAUTHENTICATED, STORE_UNAVAILABLE]),
        },
    )


def example_data(model_id: str = "openai/sora-2", **changed: Any) -> dict[str, Any]:
    """A prediction in WaveSpeed's shape, made by the code that makes the real ones."""
    words = initial_answer(EXAMPLE_ID, model_id, EXAMPLE_TIME_MS) | changed
    prediction = Prediction(EXAMPLE_ID, "acme", model_id, State.CREATED, EXAMPLE_TIME_MS, answer=words)
    return wavespeed_prediction(prediction, _BASE)
