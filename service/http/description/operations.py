"""What every operation is described with: requests, answers, errors.

The examples of errors are not written down: they are the very answers the gateway gives, from the same table.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from openapi_pydantic import Example, Header, MediaType, Operation, Parameter, ParameterLocation, Reference
from openapi_pydantic import RequestBody, Response, Schema
from openapi_pydantic.util import PydanticSchema
from pydantic import BaseModel, Field
from pydantic_core import from_json
from starlette.requests import Request

from service.domain.errors import BreakwaterError
from service.http.problems import problem_of, render

EXAMPLE_ID: Final = "019b76da80007c3d9f0e5a4b3c2d1e0f"
"""The prediction of every example."""

EXAMPLE_TIME_MS: Final = 1_767_225_600_000
"""When every example happens: the start of 2026, in unix milliseconds."""

_EXAMPLE_REQUEST_ID: Final = "checkout-7f3a"

JSON: Final = "application/json"


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

    type: str
    title: str = Field(description="The HTTP status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, for humans.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="The kind of error, for programs.")
    request_id: str = Field(description="The same as in X-Request-Id.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    errors: list[WrongField] = Field(description="Every wrong field, for `invalid_input`.")


HEADERS: Final = {
    "RequestId": Header(
        description="The id of this request: the caller's own if it sent a usable one. Logs carry it.",
        param_schema=Schema(type="string"),
        required=True,
    ),
    "RetryAfter": Header(
        description="Seconds to wait before trying again.", param_schema=Schema(type="integer", minimum=1)
    ),
}
"""Answer headers that more than one operation has, by component name."""

PARAMETERS: Final = {
    "RequestId": Parameter(
        name="X-Request-Id",
        param_in=ParameterLocation.HEADER,
        description="An id of your own for this request. It comes back in the answer and stands in the gateway's log.",
        param_schema=Schema(type="string", pattern="^[A-Za-z0-9._:-]{1,100}$"),
    ),
}
"""Parameters that more than one operation has, by component name."""


def schema_of(model: type[BaseModel]) -> PydanticSchema[Any]:
    """The schema of a pydantic model, as a component that is referred to."""
    return PydanticSchema(schema_class=model)


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
        parameters=[*parameters, Reference(ref="#/components/parameters/RequestId")],
        requestBody=body,
        responses={status: answers[status] for status in sorted(answers)},
        security=[] if public else None,
    )


def body_of(schema: Reference | Schema, examples: Mapping[str, Any]) -> RequestBody:
    """A JSON request body; `examples` by name."""
    return RequestBody(required=True, content={JSON: _media(schema, examples)})


def json_answer(
    description: str,
    schema: type[BaseModel],
    examples: Mapping[str, Any],
    headers: Mapping[str, Header] | None = None,
) -> Response:
    """A JSON answer; `examples` by name, `headers` beside X-Request-Id."""
    return _answer(description, {JSON: _media(schema_of(schema), examples)}, headers)


def text_answer(description: str, example: str, media_type: str = "text/plain; charset=utf-8") -> Response:
    """An answer that is text."""
    return _answer(description, {media_type: MediaType(media_type_schema=Schema(type="string"), example=example)})


def refusals(path: str, errors: Iterable[BreakwaterError]) -> dict[str, Response]:
    """The error answers of the operation at `path`, by status; each error's own answer is an example of its status."""
    found: dict[str, list[tuple[str, Example, str, bool]]] = {}
    for error in (*errors, BreakwaterError()):
        problem = problem_of(error)
        answer = render(_request_for(path), problem)
        example = Example(summary=_meaning(error), value=from_json(bytes(answer.body)))
        entry = problem.code, example, answer.headers["content-type"], "retry-after" in answer.headers
        found.setdefault(str(answer.status_code), []).append(entry)
    return {
        status: _answer(
            HTTPStatus(int(status)).phrase,
            {
                media_type: MediaType(
                    media_type_schema=schema_of(WaveSpeedError if media_type == JSON else Problem),
                    examples={code: example for code, example, _, _ in entries},
                )
                for _, _, media_type, _ in entries
            },
            {"Retry-After": "RetryAfter"} if any(waits for *_, waits in entries) else None,
        )
        for status, entries in found.items()
    }


def _answer(
    description: str, content: dict[str, MediaType], headers: Mapping[str, Header | str] | None = None
) -> Response:
    """An answer with the headers every answer has; a header that is a string is the name of a component."""
    every: dict[str, Header | str] = {"X-Request-Id": "RequestId", **(headers or {})}
    return Response(
        description=description,
        headers={
            name: Reference(ref=f"#/components/headers/{header}") if isinstance(header, str) else header
            for name, header in every.items()
        },
        content=content,
    )


def _media(schema: Reference | Schema, examples: Mapping[str, Any]) -> MediaType:
    """A body with its examples by name."""
    shown = {name: Example(value=value) for name, value in examples.items()}
    return MediaType(media_type_schema=schema, examples=shown or None)


def _request_for(path: str) -> Request:
    """A request that errors can be rendered for."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    return Request(scope | {"breakwater.request_id": _EXAMPLE_REQUEST_ID})


def _meaning(error: BreakwaterError) -> str:
    """What kind of error this is: the first sentences of its class's docstring."""
    if type(error) is BreakwaterError:
        return "A fault of the gateway itself; nothing of it is shown."
    return " ".join((inspect.getdoc(error) or "").partition("\n\n")[0].split())
