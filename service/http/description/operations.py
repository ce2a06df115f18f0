"""The words every operation is described with: parameters, bodies, answers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from openapi_pydantic import (
    Example,
    Header,
    Link,
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

from service.domain.limits import LimitState
from service.http.idempotency import KEY, LOW_BALANCE
from service.http.quota_headers import quota_headers
from service.stores.keys import IDEMPOTENCY_MS

EXAMPLE_ID: Final = "019b76da80007c3d9f0e5a4b3c2d1e0f"
"""The prediction of every example."""

EXAMPLE_TIME_MS: Final = 1_767_225_600_000
"""When every example happens: the start of 2026, in unix milliseconds."""

EXAMPLE_LIMITS: Final = (
    LimitState("rate", 10, 9, 6_000, 60),
    LimitState("concurrency", 8, 3, 0),
    LimitState("budget", 500_000_000, 412_500_000, 2_678_400_000, 2_678_400),
)
"""Where the limits of every example stand."""

JSON: Final = "application/json"

OPERATORS: Final[Sequence[dict[str, list[str]]]] = ({"operator": []},)
"""What the operators' face asks for, instead of a team's key."""

Headers = Mapping[str, Header | Reference]
Links = dict[str, Link]
"""Operations that an answer leads to, by id."""


def schema_of(model: type[BaseModel]) -> PydanticSchema[Any]:
    """The schema of a pydantic model, as a component that is referred to."""
    return PydanticSchema(schema_class=model)


def component(kind: str, name: str) -> Reference:
    """A reference to a component."""
    return Reference.model_validate({"$ref": f"#/components/{kind}/{name}"})


def parameter(
    name: str,
    where: Literal["path", "query", "header"],
    description: str,
    schema: Schema,
    example: Any,
    *,
    required: bool = False,
) -> Parameter:
    """One parameter; those of a path are always required."""
    needed = {"required": True} if required or where == "path" else {}
    return Parameter.model_validate(
        {"name": name, "in": where, "description": description, "schema": schema, "example": example, **needed}
    )


_QUOTA_EXAMPLES: Final = quota_headers(EXAMPLE_LIMITS)

HEADERS: Final = {
    "RequestId": Header(
        description="The id of this request: the caller's own if it sent one. The gateway's log carries it.",
        param_schema=Schema(type="string"),
        required=True,
    ),
    "RetryAfter": Header(
        description="Seconds to wait before trying again.", param_schema=Schema(type="integer", minimum=1)
    ),
    "Authenticate": Header(description="How to authenticate.", param_schema=Schema(type="string"), example="Bearer"),
    "ContentRange": Header(
        description="How long the output is (RFC 9110, section 14.4).",
        param_schema=Schema(type="string"),
        example="bytes */48211",
    ),
    "Location": Header(description="The path of what was made.", param_schema=Schema(type="string")),
    "RateLimitPolicy": Header(
        description="Each of your team's limits by name: `q` how much in `w` seconds, `qu` its unit where it is not "
        "requests. Not there for a team without limits.",
        param_schema=Schema(type="string"),
        example=_QUOTA_EXAMPLES["ratelimit-policy"],
    ),
    "RateLimit": Header(
        description="Where each limit stands: `r` is left, for `t` seconds until it resets.",
        param_schema=Schema(type="string"),
        example=_QUOTA_EXAMPLES["ratelimit"],
    ),
    "IdempotentReplayed": Header(
        description="There when an earlier submission with the same `Idempotency-Key` got this answer before.",
        param_schema=Schema(type="string", const="true"),
    ),
    "Deprecation": Header(
        description="There when the model is deprecated: since when (RFC 9745), as `@` and a unix time.",
        param_schema=Schema(type="string", pattern="^@[0-9]+$"),
        example="@1790812800",
    ),
    "Sunset": Header(
        description="When a deprecated model will be gone (RFC 8594).",
        param_schema=Schema(type="string"),
        example="Thu, 31 Dec 2026 00:00:00 GMT",
    ),
    "Successor": Header(
        description="Where the model is described that replaces a deprecated one (RFC 8288).",
        param_schema=Schema(type="string"),
        example='</v1/models/openai/sora-2>; rel="successor-version"',
    ),
    "Warning": Header(
        description="There while the account has little money left: soon submissions may be refused.",
        param_schema=Schema(type="string", const=LOW_BALANCE),
        example=LOW_BALANCE,
    ),
    "PreferenceApplied": Header(
        description="How long the gateway was ready to wait, where it was asked to.",
        param_schema=Schema(type="string"),
        example="wait=20",
    ),
}
"""Answer headers that more than one operation has, by component name."""

PARAMETERS: Final = {
    "RequestId": parameter(
        "X-Request-Id",
        "header",
        "An id of your own for this request, 1 to 100 letters, digits and `._:-`: the answer has it too. In the place "
        "of any other text stands an id of ours.",
        Schema(type="string"),
        "checkout-7f3a",
    ),
    "IdempotencyKey": parameter(
        "Idempotency-Key",
        "header",
        "A key of your own for this submission: 1 to 255 printable ASCII characters, in double quotes or bare. A copy "
        "with the same key gets the same answer and starts nothing new. It is your team's own, counts for this face "
        f"alone, and is remembered for {IDEMPOTENCY_MS // 3_600_000} hours.",
        Schema(type="string", pattern=f"^({KEY.pattern})$".replace("?P<quoted>", "").replace("?P<bare>", "")),
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
    ),
    "Prefer": parameter(
        "Prefer",
        "header",
        "`wait=20` asks that the answer be held until the prediction has ended, for so many seconds at most (RFC 7240, "
        "section 4.3). The gateway may grant less.",
        Schema(type="string"),
        "wait=20",
    ),
}
"""Parameters that more than one operation has, by component name."""

PREDICTION_ID: Final = parameter(
    "id",
    "path",
    "The prediction's id, from the answer to its submission.",
    Schema(type="string", pattern="^[0-9a-f]{32}$"),
    EXAMPLE_ID,
)
"""The prediction in a path."""

REFUSAL_HEADERS: Final[Headers] = {
    "Retry-After": component("headers", "RetryAfter"),
    "WWW-Authenticate": component("headers", "Authenticate"),
    "Content-Range": component("headers", "ContentRange"),
    "RateLimit-Policy": component("headers", "RateLimitPolicy"),
    "RateLimit": component("headers", "RateLimit"),
}
"""What an error answer may have beside the headers that every answer has."""

QUOTA_HEADERS: Final[Headers] = {name: REFUSAL_HEADERS[name] for name in ("RateLimit-Policy", "RateLimit")}
"""Where a team's limits stand."""

DEPRECATION: Final[Headers] = {
    "Deprecation": component("headers", "Deprecation"),
    "Sunset": component("headers", "Sunset"),
    "Link": component("headers", "Successor"),
}
"""What an answer about a model has that is on its way out."""

ACCEPTED_HEADERS: Final[Headers] = {
    **QUOTA_HEADERS,
    **DEPRECATION,
    "Breakwater-Warning": component("headers", "Warning"),
    "Idempotent-Replayed": component("headers", "IdempotentReplayed"),
}
"""What the answer to an accepted submission has."""

WAITED: Final[Headers] = {"Preference-Applied": component("headers", "PreferenceApplied")}
"""What an answer has that was held as its caller preferred."""

LOCATION: Final[Headers] = {"Location": component("headers", "Location")}


def operation(
    tag: str,
    operation_id: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[str, Response],
    parameters: Sequence[Parameter | Reference] = (),
    body: RequestBody | None = None,
    security: Sequence[dict[str, list[str]]] | None = None,
) -> Operation:
    """One operation. `answers` by status; `security` where it is not a team's key: `OPERATORS`, or () for nothing."""
    return Operation(
        tags=[tag],
        operationId=operation_id,
        summary=summary,
        description=description,
        parameters=[*parameters, component("parameters", "RequestId")],
        requestBody=body,
        responses={status: answers[status] for status in sorted(answers)},
        security=None if security is None else list(security),
    )


def cursor(name: str, description: str, form: re.Pattern[str], example: str) -> Parameter:
    """A query parameter that says where a page begins; an empty one is the beginning."""
    return parameter(name, "query", description, Schema(type="string", pattern=f"^({form.pattern})?$"), example)


def json_body(schema: Reference | Schema, examples: Mapping[str, Any]) -> RequestBody:
    """A request body; `examples` by name."""
    return RequestBody(required=True, content={JSON: json_media(schema, examples)})


def json_answer(
    description: str,
    schema: type[BaseModel],
    examples: Mapping[str, Any],
    headers: Headers | None = None,
    links: Links | None = None,
) -> Response:
    """An answer in JSON; `examples` by name."""
    return answer(description, {JSON: json_media(schema_of(schema), examples)}, headers, links)


def text_answer(description: str, example: str, media_type: str = "text/plain; charset=utf-8") -> Response:
    """An answer that is text."""
    return answer(description, {media_type: text_media(example)})


def answer(
    description: str,
    content: dict[str, MediaType] | None = None,
    headers: Headers | None = None,
    links: Links | None = None,
) -> Response:
    """An answer, without `content` one that has no body; `headers` are those beside the ones every answer has."""
    every = {"X-Request-Id": component("headers", "RequestId"), **(headers or {})}
    further: dict[str, Link | Reference] = {**(links or {})}
    return Response(description=description, headers=every, content=content, links=further or None)


def links(*operation_ids: str, **parameters: str) -> Links:
    """What an answer leads to: operations that take these parameters from it, by runtime expressions."""
    return {each: Link(operationId=each, parameters=dict(parameters)) for each in operation_ids}


def prediction_links(where: str) -> Links:
    """What can be done with a prediction; `where` in the answer its id stands."""
    on_one = ("read_result", "get_prediction", "stream_events", "cancel_prediction", "delete_prediction")
    return links(*on_one, id=f"$response.body#{where}") | links("read_content", id=f"$response.body#{where}", n="0")


def json_media(schema: Reference | Schema, examples: Mapping[str, Any]) -> MediaType:
    """A body in JSON."""
    shown: dict[str, Example | Reference] = {name: Example(value=value) for name, value in examples.items()}
    return MediaType(media_type_schema=schema, examples=shown or None)


def text_media(example: str) -> MediaType:
    """A body that is text."""
    return MediaType(media_type_schema=Schema(type="string"), example=example)
