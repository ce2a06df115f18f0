"""What is sent piece by piece described: the events of a prediction, and its outputs."""

from typing import Final, get_args

from openapi_pydantic import Header, MediaType, Operation, PathItem, Schema

from service.domain.json_forms import json_bytes
from service.domain.predictions import EventType
from service.domain.timestamps import rfc3339
from service.http.description.operations import (
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    JSON,
    PREDICTION_ID,
    Headers,
    answer,
    component,
    json_media,
    operation,
    parameter,
)
from service.http.description.predictions import TAG
from service.http.description.refusals import (
    NO_OUTPUT_YET,
    NO_SUCH_PART,
    OUTPUT_DENIED,
    OUTPUT_GONE,
    OUTPUT_NOT_FOUND,
    OUTPUT_UNREADABLE,
    OVERLOADED,
    PREDICTION_NOT_FOUND,
    STORE_UNAVAILABLE,
    TOO_MANY_OPEN,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.native.event_stream import HEARTBEAT_S

_ONE: Final = "/v1/predictions/{id}"
_SHOWN: Final = _ONE.replace("{id}", EXAMPLE_ID)

_SSE: Final = "text/event-stream; charset=utf-8"
_EVENT: Final = Schema(
    title="ServerSentEvent",
    type="object",
    required=["id", "event", "data"],
    properties={
        "id": Schema(type="string", pattern="^[0-9]{1,9}$", description="The event's `sequence`."),
        "event": Schema(type="string", enum=list(get_args(EventType)), description="Its type."),
        "data": Schema(
            type="string",
            contentMediaType=JSON,
            description="What callbacks carry: `type`, `timestamp`, and the prediction as `data`.",
        ),
    },
)
_BODY: Final = {
    "type": "prediction.completed",
    "timestamp": rfc3339(EXAMPLE_TIME_MS + 48_210),
    "data": {"id": EXAMPLE_ID, "status": "completed", "sequence": 2},
}
_END: Final = {
    "id": "2",
    "event": "prediction.completed",
    "data": json_bytes(_BODY).decode(),
}


_RANGE: Final = "ContentRange"
_FILE_HEADERS: Final[Headers] = {
    name: Header(description=f"{told}, where the storage tells it.", param_schema=Schema(type="string"))
    for name, told in (
        ("Accept-Ranges", "Whether parts can be asked for"),
        ("ETag", "Which version this is"),
        ("Last-Modified", "When it was made"),
    )
}


def paths() -> dict[str, PathItem]:
    """Events and outputs."""
    return {f"{_ONE}/events": PathItem(get=_events()), f"{_ONE}/content/{{n}}": PathItem(get=_content())}


def _events() -> Operation:
    """The events of one prediction."""
    seen = Schema(type="string", pattern="^[0-9]{0,9}$")
    return operation(
        TAG,
        "stream_events",
        "Follow a prediction",
        "Its events as server-sent events, from its first one on and as they happen: what callbacks carry, with the "
        "`sequence` as `id`. An `EventSource` that lost its connection comes back with `Last-Event-ID` by itself and "
        f"misses nothing. A comment is sent after {HEARTBEAT_S:g} s of silence; the stream ends with the prediction, "
        "and with the key it was opened with. One that reads too slowly is cut off.",
        parameters=[
            PREDICTION_ID,
            parameter("Last-Event-ID", "header", "The `id` seen last.", seen, "1"),
            parameter("after", "query", "The same, for clients that cannot send the header, which wins.", seen, "1"),
        ],
        answers={
            "200": answer("The events; what is described is one of them.", {_SSE: json_media(_EVENT, {"end": _END})}),
            "204": answer("It has ended, and nothing happened after the event seen last: do not come back."),
            **refusals(
                f"{_SHOWN}/events",
                [
                    Refusal.of_query("Last-Event-ID", "must be the id of an event of this stream"),
                    UNAUTHENTICATED,
                    PREDICTION_NOT_FOUND,
                    TOO_MANY_OPEN,
                    OVERLOADED,
                    STORE_UNAVAILABLE,
                ],
            ),
        },
    )


def _content() -> Operation:
    """One output."""
    file = {"*/*": MediaType(media_type_schema=Schema(type="string", schema_format="binary"))}
    return operation(
        TAG,
        "read_content",
        "Download an output",
        "The file itself, passed on piece by piece, for services that reach nothing but this gateway. Parts of it can "
        "be asked for (`Range`), or whether it changed (`If-None-Match`, `If-Modified-Since`): RFC 9110.",
        parameters=[
            PREDICTION_ID,
            parameter("n", "path", "Which output, counted from 0.", Schema(type="integer", minimum=0), 0),
            parameter("Range", "header", "The part wanted.", Schema(type="string"), "bytes=0-1048575"),
            parameter("If-None-Match", "header", "The `ETag` seen last.", Schema(type="string"), '"a1b2c3"'),
            parameter(
                "If-Modified-Since",
                "header",
                "The `Last-Modified` seen last.",
                Schema(type="string"),
                "Thu, 01 Jan 2026 00:00:00 GMT",
            ),
        ],
        answers={
            "200": answer("The output.", file, _FILE_HEADERS),
            "206": answer("The part of it.", file, {**_FILE_HEADERS, "Content-Range": component("headers", _RANGE)}),
            "304": answer("It is still what the caller has.", headers=_FILE_HEADERS),
            **refusals(
                f"{_SHOWN}/content/0",
                [
                    UNAUTHENTICATED,
                    PREDICTION_NOT_FOUND,
                    OUTPUT_NOT_FOUND,
                    NO_OUTPUT_YET,
                    OUTPUT_GONE,
                    NO_SUCH_PART,
                    TOO_MANY_OPEN,
                    OUTPUT_DENIED,
                    OVERLOADED,
                    OUTPUT_UNREADABLE,
                    STORE_UNAVAILABLE,
                ],
            ),
        },
    )
