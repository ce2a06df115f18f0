"""`/v1` described."""

from typing import Final, get_args

from openapi_pydantic import Header, PathItem, Schema

from service.domain.endpoints import MAX_ENDPOINTS
from service.domain.errors import (
    CallbackDenied,
    FieldError,
    InvalidInput,
    StoreUnavailable,
    TooMany,
    Unauthenticated,
)
from service.domain.predictions import EventType, rfc3339
from service.http.description.operations import (
    EXAMPLE_TIME_MS,
    body_of,
    json_answer,
    operation,
    refusals,
    schema_of,
)
from service.http.native.endpoints import EndpointCreated, EndpointList, EndpointShown, NewEndpoint
from service.http.problems import PayloadTooLarge

TAG: Final = "Callback endpoints"

_ENDPOINTS: Final = "/v1/endpoints"

_EXAMPLE: Final = EndpointShown(
    id="ep_019b76da80007a1b8c2d3e4f5a6b7c8d",
    url="https://hooks.example.com/videos",
    events=["prediction.completed", "prediction.failed"],
    description="videos for the shop",
    state="enabled",
    created_at=rfc3339(EXAMPLE_TIME_MS),
)

_SECRET: Final = "whsec_" + "ZXhhbXBsZSBzZWNyZXQsIG5vdCBhIHJlYWwgb25lISE="


def paths() -> dict[str, PathItem]:
    """Every path of the native face."""
    create = operation(
        TAG,
        "create_endpoint",
        "Register a callback URL",
        "From now on every event of the chosen types is POSTed there as a signed Standard Webhooks message. Types: "
        f"{', '.join(f'`{event}`' for event in get_args(EventType))}.",
        body=body_of(
            schema_of(NewEndpoint),
            {"endpoint": _EXAMPLE.model_dump(include={"url", "events", "description"})},
        ),
        answers={
            "201": json_answer(
                "Registered. The secret is shown this once.",
                EndpointCreated,
                {"endpoint": EndpointCreated(**_EXAMPLE.model_dump(), secret=_SECRET).model_dump()},
                {"Location": Header(description="The path of the endpoint.", param_schema=Schema(type="string"))},
            ),
            **refusals(
                _ENDPOINTS,
                [
                    InvalidInput([FieldError("url", "Field required")]),
                    Unauthenticated("unknown API key"),
                    PayloadTooLarge("the body is larger than 1048576 bytes"),
                    CallbackDenied("host hooks.example.com is not in BREAKWATER_CALLBACK_ALLOW"),
                    TooMany(f"tenant acme has {MAX_ENDPOINTS} endpoints already; delete one first"),
                    StoreUnavailable("Redis cannot serve at the moment"),
                ],
            ),
        },
    )
    show_all = operation(
        TAG,
        "list_endpoints",
        "List callback URLs",
        "Every endpoint of your team, without secrets.",
        answers={
            "200": json_answer(
                "All of them.", EndpointList, {"endpoints": EndpointList(data=[_EXAMPLE]).model_dump()}
            ),
            **refusals(
                _ENDPOINTS,
                [Unauthenticated("unknown API key"), StoreUnavailable("Redis cannot serve at the moment")],
            ),
        },
    )
    return {_ENDPOINTS: PathItem(post=create, get=show_all)}
