"""`/v1/endpoints` described."""

from typing import Any, Final

from openapi_pydantic import Operation, PathItem, Schema
from pydantic import BaseModel

from service.domain.endpoints import MESSAGE_TYPES, OVERLAP_MS
from service.domain.timestamps import rfc3339
from service.http.description.operations import (
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    LOCATION,
    answer,
    json_answer,
    json_body,
    links,
    operation,
    parameter,
    schema_of,
)
from service.http.description.refusals import (
    CALLBACK_DENIED,
    CANNOT_FIRE,
    ENDPOINT_CONTENDED,
    ENDPOINT_DISABLED,
    ENDPOINT_NOT_FOUND,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    TOO_MANY_ENDPOINTS,
    TOO_MANY_TESTS,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.native.deliveries import AttemptShown
from service.http.native.endpoints import (
    ChangedEndpoint,
    EndpointCreated,
    EndpointDetails,
    EndpointList,
    EndpointShown,
    HealthShown,
    NewEndpoint,
    Recovered,
    SecretRotated,
    Tried,
)

TAG: Final = "Callback endpoints"

_ENDPOINTS: Final = "/v1/endpoints"
_ONE: Final = f"{_ENDPOINTS}/{{id}}"

EXAMPLE_ENDPOINT: Final = "ep_019b76da80007a1b8c2d3e4f5a6b7c8d"

_EXAMPLE: Final = EndpointShown(
    id=EXAMPLE_ENDPOINT,
    url="https://hooks.example.com/videos",
    events=["prediction.completed", "prediction.failed"],
    description="videos for the shop",
    state="enabled",
    disabled_by=None,
    disabled_at=None,
    created_at=rfc3339(EXAMPLE_TIME_MS),
)

_DETAILS: Final = EndpointDetails(
    **_EXAMPLE.model_dump(),
    health=HealthShown(
        breaker="closed",
        retry_at=None,
        delivered=1_204,
        failed=2,
        last_success_at=rfc3339(EXAMPLE_TIME_MS),
        last_failure_at=rfc3339(EXAMPLE_TIME_MS - 86_400_000),
        last_failure="the receiver answered 503",
        failing_since=None,
        pending=0,
        dead=0,
    ),
)

_SECRET: Final = "whsec_" + "ZXhhbXBsZSBzZWNyZXQsIG5vdCBhIHJlYWwgb25lISE="

_ID: Final = parameter("id", "path", "The endpoint's id.", Schema(type="string"), EXAMPLE_ENDPOINT)

_TYPES: Final = ", ".join(f"`{event}`" for event in MESSAGE_TYPES)


def paths() -> dict[str, PathItem]:
    """Where a team registers its callback URLs, and looks after them."""
    return {
        _ENDPOINTS: PathItem(post=_create(), get=_list()),
        _ONE: PathItem(get=_get(), patch=_update(), delete=_delete()),
        f"{_ONE}/rotate-secret": PathItem(post=_rotate_secret()),
        f"{_ONE}/test": PathItem(post=_test()),
        f"{_ONE}/recover": PathItem(post=_recover()),
    }


def _create() -> Operation:
    """Register."""
    return operation(
        TAG,
        "create_endpoint",
        "Register a callback URL",
        "From now on every event of the chosen types is POSTed there as a signed Standard Webhooks message. "
        f"Types: {_TYPES}.",
        body=json_body(
            schema_of(NewEndpoint), {"endpoint": _EXAMPLE.model_dump(include={"url", "events", "description"})}
        ),
        answers={
            "201": json_answer(
                "Registered. The secret is shown this once.",
                EndpointCreated,
                {"endpoint": _plain(EndpointCreated(**_EXAMPLE.model_dump(), secret=_SECRET))},
                LOCATION,
                links(
                    "get_endpoint",
                    "update_endpoint",
                    "delete_endpoint",
                    "rotate_endpoint_secret",
                    "test_endpoint",
                    "recover_endpoint",
                    id="$response.body#/id",
                ),
            ),
            **refusals(
                _ENDPOINTS,
                [
                    Refusal.of_field("url", "Field required"),
                    UNAUTHENTICATED,
                    TOO_LARGE,
                    CALLBACK_DENIED,
                    CANNOT_FIRE,
                    TOO_MANY_ENDPOINTS,
                    STORE_UNAVAILABLE,
                ],
            ),
        },
    )


def _list() -> Operation:
    """All of them."""
    return operation(
        TAG,
        "list_endpoints",
        "List callback URLs",
        "Every endpoint of your team, without secrets.",
        answers={
            "200": json_answer("All of them.", EndpointList, {"endpoints": {"data": [_plain(_EXAMPLE)]}}),
            **refusals(_ENDPOINTS, [UNAUTHENTICATED, STORE_UNAVAILABLE]),
        },
    )


def _get() -> Operation:
    """One, with its health."""
    return _of_one(
        "get_endpoint",
        "Read a callback URL and how it is doing",
        "Its receiver's health: whether its breaker is open, what went wrong last, and what is waiting.",
        EndpointDetails,
        _DETAILS,
    )


def _update() -> Operation:
    """Change."""
    wanted = {"events": ["prediction.completed"], "state": "enabled"}
    return operation(
        TAG,
        "update_endpoint",
        "Change a callback URL, or switch it off or on",
        "What is left out stays as it is. Another URL, and being enabled, forget what went wrong before. While it is "
        "disabled nothing is sent; what waited for it is given up, and can be recovered once it is enabled.",
        parameters=[_ID],
        body=json_body(schema_of(ChangedEndpoint), {"endpoint": wanted}),
        answers={
            "200": json_answer("As it is from now on.", EndpointDetails, {"endpoint": _plain(_DETAILS)}),
            **refusals(
                _ONE,
                [
                    Refusal.of_field("state", "Input should be 'enabled' or 'disabled'"),
                    UNAUTHENTICATED,
                    ENDPOINT_NOT_FOUND,
                    ENDPOINT_CONTENDED,
                    TOO_LARGE,
                    CALLBACK_DENIED,
                    CANNOT_FIRE,
                    STORE_UNAVAILABLE,
                ],
            ),
        },
    )


def _delete() -> Operation:
    """Delete."""
    return operation(
        TAG,
        "delete_endpoint",
        "Delete a callback URL",
        "Nothing more is sent there. What waited for it is given up.",
        parameters=[_ID],
        answers={
            "204": answer("It is gone."),
            **refusals(_ONE, [UNAUTHENTICATED, ENDPOINT_NOT_FOUND, ENDPOINT_CONTENDED, STORE_UNAVAILABLE]),
        },
    )


def _rotate_secret() -> Operation:
    """A new secret."""
    rotated = SecretRotated(secret=_SECRET, previous_until=rfc3339(EXAMPLE_TIME_MS + OVERLAP_MS))
    return _of_one(
        "rotate_endpoint_secret",
        "Give a callback URL a new secret",
        f"For {OVERLAP_MS // 3_600_000} hours both secrets sign, so that receivers can change over without a gap.",
        SecretRotated,
        rotated,
        ENDPOINT_CONTENDED,
    )


def _test() -> Operation:
    """Try."""
    attempt = AttemptShown(
        number=1, at=rfc3339(EXAMPLE_TIME_MS), duration_s=0.041, outcome="delivered", status=204, error="", answer=""
    )
    tried = Tried(delivery_id=f"evt_{EXAMPLE_ID}-{EXAMPLE_ENDPOINT}", state="delivered", attempt=attempt)
    return _of_one(
        "test_endpoint",
        "Send a callback URL a test",
        "One `endpoint.test` message, signed like any other, also while the breaker is open or the endpoint is "
        "disabled. The answer says what the receiver did; it may take 20 seconds.",
        Tried,
        tried,
        TOO_MANY_TESTS,
    )


def _recover() -> Operation:
    """Send again what was missed."""
    since = parameter(
        "since",
        "query",
        "Given up at or after this time.",
        Schema(type="string", schema_format="date-time"),
        rfc3339(EXAMPLE_TIME_MS),
        required=True,
    )
    return operation(
        TAG,
        "recover_endpoint",
        "Send again what a receiver missed",
        "Every delivery to it that was given up since then, each under its own `webhook-id`. 10,000 at most at a time.",
        parameters=[_ID, since],
        answers={
            "200": json_answer("They are on their way.", Recovered, {"recovered": {"recovered": 17}}),
            **refusals(
                _ONE,
                [
                    Refusal.of_query("since", "must be a time like 2026-01-31T12:00:00Z"),
                    UNAUTHENTICATED,
                    ENDPOINT_NOT_FOUND,
                    ENDPOINT_DISABLED,
                    STORE_UNAVAILABLE,
                ],
            ),
        },
    )


def _of_one(
    operation_id: str,
    summary: str,
    description: str,
    shown: type[BaseModel],
    example: BaseModel,
    *more: Refusal,
) -> Operation:
    """An operation on one endpoint that takes nothing else."""
    return operation(
        TAG,
        operation_id,
        summary,
        description,
        parameters=[_ID],
        answers={
            "200": json_answer("Done.", shown, {"example": _plain(example)}),
            **refusals(_ONE, [UNAUTHENTICATED, ENDPOINT_NOT_FOUND, *more, STORE_UNAVAILABLE]),
        },
    )


def _plain(model: BaseModel) -> Any:
    """As it goes out."""
    return model.model_dump(mode="json")
