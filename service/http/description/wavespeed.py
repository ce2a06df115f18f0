"""`/api/v3` described: one path for each model of the catalogue, with its own inputs, and the two forms of reading."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from openapi_pydantic import Parameter, ParameterLocation, PathItem, Reference, Schema
from pydantic import BaseModel, ConfigDict, Field

from service.domain.catalogue import Catalogue, Model
from service.domain.errors import (
    AccountFault,
    CallbackDenied,
    CapacityReached,
    FieldError,
    InvalidInput,
    NeverSent,
    NotFound,
    Overloaded,
    StoreUnavailable,
    TenantSuspended,
    Unauthenticated,
    UpstreamRefused,
)
from service.domain.money import dollars
from service.domain.predictions import Prediction, State, initial_answer
from service.domain.representations import wavespeed_prediction
from service.http.description.operations import (
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    body_of,
    json_answer,
    operation,
    refusals,
)
from service.http.problems import PayloadTooLarge
from service.http.wavespeed.submit import TRAVELLING_HEADERS

TAG: Final = "Predictions"

_BASE: Final = "https://breakwater.example.com"

_SWITCHES: Final[Mapping[str, Any]] = {
    "enable_sync_mode": {
        "type": "boolean",
        "default": False,
        "description": "Accepted; the answer then says `processing` with task code 5004: read the result later.",
    },
    "enable_base64_output": {
        "type": "boolean",
        "const": False,
        "description": "Not supported: true is refused. Outputs are URLs.",
    },
    "webhook_url": {
        "type": "string",
        "maxLength": 2048,
        "description": "The same as `?webhook=`, which wins if both are given; `webhook` is another name for it.",
    },
}
"""Body fields that are for the gateway: taken out before the input is checked and sent on."""

_EXAMPLE_INPUTS: Final = {
    "prompt": "Waves break over a pier at dawn",
    "image": "https://media.example.com/pier.jpg",
    "video": "https://media.example.com/pier.mp4",
    "audio": "https://media.example.com/waves.mp3",
}
"""What examples hold for well-known input fields whose schema gives no example."""


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
        description="URLs of what was made; empty until `completed`. WaveSpeed keeps them for seven days."
    )
    has_nsfw_contents: list[bool] | None = Field(description="For each output, whether it was found unsafe.")
    error: str = Field(description="Why it failed; otherwise empty.")
    code: int = Field(0, description="WaveSpeed's task code, where there is one; 5004: still going, read it later.")
    urls: Links
    created_at: str = Field(description="RFC 3339, UTC.")
    executionTime: float = Field(description="Milliseconds.")  # noqa: N815 WaveSpeed's spelling
    timings: dict[str, Any]


class WaveSpeedEnvelope(BaseModel):
    """WaveSpeed's success envelope."""

    code: Literal[200]
    message: str
    data: WaveSpeedPrediction


def paths(catalogue: Catalogue) -> dict[str, PathItem]:
    """Every path of WaveSpeed's face."""
    models = {f"/api/v3/{model.id}": PathItem(post=_submit(model)) for model in catalogue}
    short, long = "/api/v3/predictions/{id}", "/api/v3/predictions/{id}/result"
    return models | {
        long: PathItem(get=_read(long, "read_result", "Read a prediction")),
        short: PathItem(get=_read(short, "read_prediction", "Read a prediction, short form")),
    }


def component_name(model_id: str) -> str:
    """The name of a model's input schema: unlike for unlike ids, since a segment never begins with `_`."""
    return model_id.replace("_", "__").replace("/", "_")


def input_schemas(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """What each model's path accepts, by component name: its own schema, word for word, and the gateway's switches."""
    return {component_name(model.id): _accepted(model) for model in catalogue}


def _accepted(model: Model) -> dict[str, Any]:
    """A model's inputs with the switches beside them; references within the schema point to its place here."""
    name = component_name(model.id)
    # A schema with an id of its own is a document of its own: its references go on meaning what they meant.
    inputs = dict(model.inputs if "$id" in model.inputs else _moved(model.inputs, f"#/components/schemas/{name}"))
    return {"title": model.name, **inputs, "properties": {**inputs.get("properties", {}), **_SWITCHES}}


def _moved(schema: Any, to: str) -> Any:
    """A copy of a schema whose references to itself begin with `to`."""
    if isinstance(schema, list):
        return [_moved(item, to) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: to + value[1:]
        if name in ("$ref", "$dynamicRef") and isinstance(value, str) and (value == "#" or value.startswith("#/"))
        else _moved(value, to)
        for name, value in schema.items()
    }


def example_input(model: Model) -> dict[str, Any] | None:
    """A valid input made from what the schema says of its fields, or None when that is not enough for one."""
    properties = model.inputs.get("properties", {})
    example = {}
    for name in [*model.inputs.get("required", []), *properties]:
        field = properties.get(name)
        known = field if isinstance(field, dict) else {}
        given = [*known.get("examples", [])[:1], *([known["default"]] if "default" in known else [])]
        if not given and name in model.inputs.get("required", []):
            given = [*known.get("enum", [])[:1], _EXAMPLE_INPUTS.get(name, _PLACEHOLDERS.get(str(known.get("type"))))]
        if given and name not in _SWITCHES:
            example[name] = given[0]
    try:
        model.check(example)
    except InvalidInput:
        return None
    return example


_PLACEHOLDERS: Final = {"string": "...", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
"""A value of each type, for required fields about which nothing else is known."""


def _submit(model: Model) -> Any:
    """Submit to one model."""
    example = example_input(model)
    created = _answer_example(model.id)
    return operation(
        TAG,
        f"submit_{component_name(model.id)}",
        f"Submit to {model.name}",
        f"One run costs ${dollars(model.price_micros)}. The answer comes as soon as WaveSpeed has accepted the submission, "
        "and within seconds in any case. Input is checked before anything is sent; every wrong field is named. "
        f"Of the request's headers only these go on to WaveSpeed: {', '.join(f'`{h}`' for h in TRAVELLING_HEADERS)}. "
        "What WaveSpeed itself refuses is answered with its own status and words.",
        parameters=[
            Parameter(
                name="webhook",
                param_in=ParameterLocation.QUERY,
                description="A URL to call once, when the prediction has ended. It must be one your team may use.",
                param_schema=Schema(type="string", maxLength=2048),
                example="https://hooks.example.com/videos",
            )
        ],
        body=body_of(
            Reference(ref=f"#/components/schemas/{component_name(model.id)}"),
            {"input": example} if example is not None else {},
        ),
        answers={
            "200": json_answer(
                "Accepted: read `data.urls.get` until the status is final.",
                WaveSpeedEnvelope,
                {"created": _enveloped(created)},
            ),
            **refusals(
                f"/api/v3/{model.id}",
                [
                    InvalidInput([FieldError("prompt", "is required")]),
                    CallbackDenied("host hooks.example.com is not in BREAKWATER_CALLBACK_ALLOW"),
                    UpstreamRefused(400, "image: cannot be fetched"),
                    Unauthenticated("unknown API key"),
                    TenantSuspended("tenant acme is suspended"),
                    PayloadTooLarge("the body is larger than 1048576 bytes"),
                    CapacityReached(429, "You have reached your concurrency limit"),
                    UpstreamRefused(502, "refused"),
                    Overloaded("too many submissions are in flight"),
                    StoreUnavailable("Redis cannot serve at the moment"),
                    AccountFault(402),
                    NeverSent("cannot connect to WaveSpeed"),
                ],
            ),
        },
    )


def _read(path: str, operation_id: str, summary: str) -> Any:
    """Read one prediction."""
    video = "https://media.example.com/pier.mp4"
    completed = _answer_example(status="completed", outputs=[video], has_nsfw_contents=[False], executionTime=48_210)
    failed = _answer_example(status="failed", error="the prompt was rejected")
    return operation(
        TAG,
        operation_id,
        summary,
        "Answered from what the gateway knows, however often it is asked: reading costs nothing at WaveSpeed. "
        "A prediction that failed is a 200 whose `data.status` is `failed`.",
        parameters=[
            Parameter(
                name="id",
                param_in=ParameterLocation.PATH,
                required=True,
                description="The prediction's id.",
                param_schema=Schema(type="string", pattern="^[0-9a-f]{32}$"),
                example=EXAMPLE_ID,
            )
        ],
        answers={
            "200": json_answer(
                "The prediction as it is now.",
                WaveSpeedEnvelope,
                {
                    "created": _enveloped(_answer_example()),
                    "completed": _enveloped(completed),
                    "failed": _enveloped(failed),
                },
            ),
            **refusals(
                path.replace("{id}", EXAMPLE_ID),
                [
                    Unauthenticated("unknown API key"),
                    NotFound("prediction not found"),
                    StoreUnavailable("Redis cannot serve at the moment"),
                ],
            ),
        },
    )


def _answer_example(model_id: str = "openai/sora-2", **changed: Any) -> dict[str, Any]:
    """A prediction as answered, made by the code that makes the real ones."""
    answer = initial_answer(EXAMPLE_ID, model_id, EXAMPLE_TIME_MS) | changed
    prediction = Prediction(EXAMPLE_ID, "acme", model_id, State.CREATED, EXAMPLE_TIME_MS, answer=answer)
    return wavespeed_prediction(prediction, _BASE)


def _enveloped(data: dict[str, Any]) -> dict[str, Any]:
    """WaveSpeed's success envelope around a prediction."""
    return {"code": 200, "message": "success", "data": data}
