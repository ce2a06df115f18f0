"""What is sent piece by piece described: the events of a prediction, and its outputs."""

from typing import Final

from openapi_pydantic import MediaType, Operation, PathItem, Schema

from service.http.description.operations import (
    EXAMPLE_ID,
    PREDICTION_ID,
    answer,
    operation,
    parameter,
    text_answer,
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

_STREAM: Final = """retry: 2000

id: 1
event: prediction.processing
data: {"type":"prediction.processing","timestamp":"2026-01-01T00:00:05Z","data":{...}}

id: 2
event: prediction.completed
data: {"type":"prediction.completed","timestamp":"2026-01-01T00:00:48Z","data":{...}}

"""


def paths() -> dict[str, PathItem]:
    """Events and outputs."""
    return {f"{_ONE}/events": PathItem(get=_events()), f"{_ONE}/content/{{n}}": PathItem(get=_content())}


def _events() -> Operation:
    """The events of one prediction."""
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
            parameter(
                "Last-Event-ID", "header", "The `id` seen last.", Schema(type="string", pattern="^[0-9]{1,9}$"), "1"
            ),
        ],
        answers={
            "200": text_answer("The events.", _STREAM, "text/event-stream; charset=utf-8"),
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
            parameter("Range", "header", "The part wanted.", Schema(type="string", maxLength=200), "bytes=0-1048575"),
        ],
        answers={
            "200": answer("The output.", file),
            "206": answer("The part of it.", file),
            "304": answer("It is still what the caller has."),
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
