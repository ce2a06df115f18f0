"""`/v1/deliveries` and `/v1/events` described."""

import re
from typing import Any, Final

from openapi_pydantic import PathItem, Schema
from pydantic import BaseModel

from service.domain.endpoints import MESSAGE_TYPES
from service.domain.timestamps import rfc3339
from service.http.description.endpoints import EXAMPLE_ENDPOINT
from service.http.description.operations import (
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    cursor,
    json_answer,
    links,
    operation,
    parameter,
)
from service.http.description.refusals import (
    DELIVERY_NOT_FOUND,
    STORE_UNAVAILABLE,
    UNAUTHENTICATED,
    UNSENDABLE,
    Refusal,
    refusals,
)
from service.http.native.deliveries import (
    MAX_PAGE,
    PAGE,
    STATES,
    AttemptShown,
    DeliveryDetails,
    DeliveryList,
    DeliveryShown,
)
from service.http.native.events import EventList, EventShown
from service.stores import delivery_log, event_log

TAG: Final = "Deliveries and events"

_DELIVERIES: Final = "/v1/deliveries"
_ONE: Final = f"{_DELIVERIES}/{{id}}"

EXAMPLE_DELIVERY: Final = DeliveryShown(
    id=f"{EXAMPLE_ID}-2-ep_{EXAMPLE_ENDPOINT[-16:]}",
    webhook_id=f"evt_{EXAMPLE_ID}_2",
    event_type="prediction.completed",
    endpoint_id=EXAMPLE_ENDPOINT,
    prediction_id=EXAMPLE_ID,
    sequence=2,
    state="dead",
    attempts=8,
    created_at=rfc3339(EXAMPLE_TIME_MS),
    last_attempt_at=rfc3339(EXAMPLE_TIME_MS + 100_000_000),
)

_ATTEMPT: Final = AttemptShown(
    number=8,
    at=rfc3339(EXAMPLE_TIME_MS + 100_000_000),
    duration_s=0.212,
    outcome="rejected",
    status=503,
    error="the receiver answered 503",
    answer="upstream connect error",
)

_ID: Final = parameter("id", "path", "The delivery's id.", Schema(type="string"), EXAMPLE_DELIVERY.id)
_TYPE: Final = "|".join(map(re.escape, MESSAGE_TYPES))
_TYPES: Final = f"^({_TYPE})(,({_TYPE}))*$"
LIMIT: Final = parameter(
    "limit", "query", "How many on a page.", Schema(type="integer", minimum=1, maximum=MAX_PAGE, default=PAGE), 20
)
CURSOR: Final = cursor("cursor", "`next_cursor` of the page before.", delivery_log.CURSOR, "1767225600000_1")


def paths() -> dict[str, PathItem]:
    """What was sent, and what happened."""
    return {_DELIVERIES: _list(), _ONE: _get(), f"{_ONE}/resend": _resend(), "/v1/events": _events()}


def _list() -> PathItem:
    """A page."""
    example = DeliveryList(data=[EXAMPLE_DELIVERY], next_cursor=None)
    return PathItem(
        get=operation(
            TAG,
            "list_deliveries",
            "List deliveries",
            "What was sent to your team's addresses, newest first. A page may be shorter than asked for and still have "
            "one after it.",
            parameters=[
                parameter("endpoint_id", "query", "Of one endpoint.", Schema(type="string"), EXAMPLE_ENDPOINT),
                parameter("prediction_id", "query", "Of one prediction: all.", Schema(type="string"), EXAMPLE_ID),
                parameter("state", "query", "In one state.", Schema(type="string", enum=list(STATES)), "dead"),
                LIMIT,
                CURSOR,
            ],
            answers={
                "200": json_answer(
                    "A page.",
                    DeliveryList,
                    {"deliveries": _plain(example)},
                    links=links("get_delivery", "resend_delivery", id="$response.body#/data/0/id"),
                ),
                **refusals(
                    _DELIVERIES,
                    [Refusal.of_query("limit", f"must be 1 to {MAX_PAGE}"), UNAUTHENTICATED, STORE_UNAVAILABLE],
                ),
            },
        )
    )


def _details() -> DeliveryDetails:
    """The example in full."""
    return DeliveryDetails(**EXAMPLE_DELIVERY.model_dump(), next_attempt_at=None, attempts_made=[_ATTEMPT])


def _get() -> PathItem:
    """One."""
    return PathItem(
        get=operation(
            TAG,
            "get_delivery",
            "Read a delivery and its attempts",
            "Every attempt with its time, its duration, and what the receiver said.",
            parameters=[_ID],
            answers={
                "200": json_answer("The delivery.", DeliveryDetails, {"delivery": _plain(_details())}),
                **refusals(_ONE, [UNAUTHENTICATED, DELIVERY_NOT_FOUND, STORE_UNAVAILABLE]),
            },
        )
    )


def _resend() -> PathItem:
    """Again."""
    again = _details().model_copy(update={"state": "pending", "next_attempt_at": rfc3339(EXAMPLE_TIME_MS)})
    return PathItem(
        post=operation(
            TAG,
            "resend_delivery",
            "Send a delivery again",
            "At once, and by the whole schedule of attempts; the message and its `webhook-id` stay the same.",
            parameters=[_ID],
            answers={
                "202": json_answer("It is on its way.", DeliveryDetails, {"delivery": _plain(again)}),
                **refusals(_ONE, [UNAUTHENTICATED, DELIVERY_NOT_FOUND, UNSENDABLE, STORE_UNAVAILABLE]),
            },
        )
    )


def _events() -> PathItem:
    """The log."""
    event = EventShown(
        id=f"evt_{EXAMPLE_ID}_2",
        cursor="1767225648210-0",
        type="prediction.completed",
        timestamp=rfc3339(EXAMPLE_TIME_MS + 48_210),
        data={"id": EXAMPLE_ID, "status": "completed", "sequence": 2},
    )
    page = EventList(data=[event], next_cursor=event.cursor, has_more=False, gap=False)
    return PathItem(
        get=operation(
            TAG,
            "list_events",
            "Read what happened, in order",
            "Everything callbacks tell, for receivers that were away: go on from the cursor you saw last. Within a "
            "prediction `sequence` counts by one, so a receiver can see what it missed. `data` is shortened here.",
            parameters=[
                cursor(
                    "after",
                    "The cursor to go on from; nothing begins with the oldest kept.",
                    event_log.CURSOR,
                    "1767225600000-0",
                ),
                parameter(
                    "types",
                    "query",
                    f"Only these, separated by commas: {', '.join(MESSAGE_TYPES)}.",
                    Schema(type="string", pattern=_TYPES),
                    "prediction.completed,prediction.failed",
                ),
                LIMIT,
            ],
            answers={
                "200": json_answer("A page.", EventList, {"events": _plain(page)}),
                **refusals(
                    "/v1/events",
                    [
                        Refusal.of_query("after", "is not a cursor of this list"),
                        UNAUTHENTICATED,
                        STORE_UNAVAILABLE,
                    ],
                ),
            },
        )
    )


def _plain(model: BaseModel) -> Any:
    """As it goes out."""
    return model.model_dump(mode="json")
