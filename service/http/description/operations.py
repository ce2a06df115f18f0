"""The words every operation is described with: parameters, bodies, answers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from openapi_pydantic import (
    Example,
    Header,
    MediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Response,
    Schema,
)
from openapi_pydantic.util import PydanticSchema
from pydantic import BaseModel

EXAMPLE_ID: Final = "019b76da80007c3d9f0e5a4b3c2d1e0f"
"""The prediction of every example."""

EXAMPLE_TIME_MS: Final = 1_767_225_600_000
"""When every example happens: the start of 2026, in unix milliseconds."""

JSON: Final = "application/json"

Headers = Mapping[str, Header | Reference]


def schema_of(model: type[BaseModel]) -> PydanticSchema[Any]:
    """The schema of a pydantic model, as a component that is referred to."""
    return PydanticSchema(schema_class=model)


def component(kind: str, name: str) -> Reference:
    """A reference to a component."""
    return Reference.model_validate({"$ref": f"#/components/{kind}/{name}"})


def parameter(
    name: str, where: Literal["path", "query", "header"], description: str, schema: Schema, example: str
) -> Parameter:
    """One parameter; those of a path are required, no other."""
    required = {"required": True} if where == "path" else {}
    return Parameter.model_validate(
        {"name": name, "in": where, "description": description, "schema": schema, "example": example, **required}
    )


HEADERS: Final = {
    "RequestId": Header(
        description="The id of this request: the caller's own if it sent one. The gateway's log carries it.",
        param_schema=Schema(type="string"),
        required=True,
    ),
    "RetryAfter": Header(
        description="Seconds to wait before trying again.", param_schema=Schema(type="integer", minimum=1)
    ),
}
"""Answer headers that more than one operation has, by component name."""

PARAMETERS: Final = {
    "RequestId": parameter(
        "X-Request-Id",
        "header",
        "An id of your own for this request: the answer has it too.",
        Schema(type="string", pattern="^[A-Za-z0-9._:-]{1,100}$"),
        "checkout-7f3a",
    ),
}
"""Parameters that every operation has, by component name."""

RETRY_AFTER: Final[Headers] = {"Retry-After": component("headers", "RetryAfter")}


def operation(
    tag: str,
    operation_id: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[str, Response],
    parameters: Sequence[Parameter] = (),
    body: RequestBody | None = None,
    public: bool = False,
) -> Operation:
    """One operation. `answers` by status; `public` ones need no API key."""
    return Operation(
        tags=[tag],
        operationId=operation_id,
        summary=summary,
        description=description,
        parameters=[*parameters, *(component("parameters", name) for name in PARAMETERS)],
        requestBody=body,
        responses={status: answers[status] for status in sorted(answers)},
        security=[] if public else None,
    )


def json_body(schema: Reference | Schema, examples: Mapping[str, Any]) -> RequestBody:
    """A request body; `examples` by name."""
    return RequestBody(required=True, content={JSON: _media(schema, examples)})


def json_answer(
    description: str, schema: type[BaseModel], examples: Mapping[str, Any], headers: Headers | None = None
) -> Response:
    """An answer in JSON; `examples` by name."""
    return answer(description, {JSON: _media(schema_of(schema), examples)}, headers)


def text_answer(description: str, example: str, media_type: str = "text/plain; charset=utf-8") -> Response:
    """An answer that is text."""
    return answer(description, {media_type: MediaType(media_type_schema=Schema(type="string"), example=example)})


def answer(description: str, content: dict[str, MediaType], headers: Headers | None = None) -> Response:
    """An answer; `headers` are those beside the ones that every answer has."""
    every = {"X-Request-Id": component("headers", "RequestId"), **(headers or {})}
    return Response(description=description, headers=every, content=content)


def _media(schema: Reference | Schema, examples: Mapping[str, Any]) -> MediaType:
    """A body in JSON."""
    shown: dict[str, Example | Reference] = {name: Example(value=value) for name, value in examples.items()}
    return MediaType(media_type_schema=schema, examples=shown or None)
