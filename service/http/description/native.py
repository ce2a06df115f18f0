"""`/v1/endpoints` described."""

from typing import Final, get_args

from openapi_pydantic import PathItem

from service.domain.predictions import EventType, rfc3339
from service.http.description.operations import (
    EXAMPLE_TIME_MS,
    LOCATION,
    json_answer,
    json_body,
    operation,
    schema_of,
)
from service.http.description.refusals import (
    CALLBACK_DENIED,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    TOO_MANY_ENDPOINTS,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.native.endpoints import EndpointCreated, EndpointList, EndpointShown, NewEndpoint

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
    """Where a team registers its callback URLs."""
    event_types = ", ".join(f"`{event}`" for event in get_args(EventType))
    create = operation(
        TAG,
        "create_endpoint",
        "Register a callback URL",
        "From now on every event of the chosen types is POSTed there as a signed Standard Webhooks message. "
        f"Types: {event_types}.",
        body=json_body(
            schema_of(NewEndpoint), {"endpoint": _EXAMPLE.model_dump(include={"url", "events", "description"})}
        ),
        answers={
            "201": json_answer(
                "Registered. The secret is shown this once.",
                EndpointCreated,
                {"endpoint": EndpointCreated(**_EXAMPLE.model_dump(), secret=_SECRET).model_dump()},
                LOCATION,
            ),
            **refusals(
                _ENDPOINTS,
                [
                    Refusal.of_field("url", "Field required"),
                    UNAUTHENTICATED,
                    TOO_LARGE,
                    CALLBACK_DENIED,
                    TOO_MANY_ENDPOINTS,
                    STORE_UNAVAILABLE,
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
            "200": json_answer("All of them.", EndpointList, {"endpoints": {"data": [_EXAMPLE.model_dump()]}}),
            **refusals(_ENDPOINTS, [UNAUTHENTICATED, STORE_UNAVAILABLE]),
        },
    )
    return {_ENDPOINTS: PathItem(post=create, get=show_all)}
