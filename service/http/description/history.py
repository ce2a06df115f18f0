"""`/api/v3/predictions` described: the list and deletion in WaveSpeed's form."""

from typing import Any, Final, Literal

from openapi_pydantic import Operation, Parameter, PathItem, Reference, RequestBody, Schema
from pydantic import BaseModel, Field

from service.http.description.envelope import enveloped_answer
from service.http.description.operations import (
    EXAMPLE_ID,
    PREDICTION_ID,
    json_body,
    operation,
    parameter,
    schema_of,
)
from service.http.description.refusals import (
    CONTENDED,
    PREDICTION_NOT_FOUND,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.description.wavespeed import TAG, WaveSpeedPrediction, example_data, read
from service.http.wavespeed.history import MAX_IDS, MAX_PAGE_SIZE, DeleteBody, ListQuery

_LIST: Final = "/api/v3/predictions"
_ONE: Final = f"{_LIST}/{{id}}"
_WRONG: Final = Refusal.of_field("page_size", f"Input should be less than or equal to {MAX_PAGE_SIZE}")


class ListedPrediction(WaveSpeedPrediction):
    """A prediction in a list."""

    input: dict[str, Any] | None = Field(None, description="What was submitted, where `include_inputs` asks for it.")


class PredictionPage(BaseModel):
    """Predictions, newest first."""

    page: int
    total: int | None = Field(None, description="How many there are; left out where a status or model is asked for.")
    items: list[ListedPrediction]


class Deleted(BaseModel):
    """What was deleted."""

    id: str
    status: Literal["deleted"]


class DeletedCount(BaseModel):
    """How many were deleted."""

    deleted_count: int = Field(ge=0, le=MAX_IDS)


def paths() -> dict[str, PathItem]:
    """List and delete, and the short form of reading one."""
    return {
        _LIST: PathItem(get=_list("query"), post=_list("body")),
        _ONE: PathItem(get=read(_ONE, "read_prediction", "Read a prediction, short form"), delete=_delete_one()),
        f"{_LIST}/delete": PathItem(post=_delete_many()),
    }


def _list(where: Literal["query", "body"]) -> Operation:
    """A page, asked for in either way."""
    asked: dict[str, Any] = {"page": 1, "page_size": 20, "status": "completed", "include_inputs": False}
    page = {"page": 1, "items": [example_data(status="completed", outputs=["https://media.example.com/pier.mp4"])]}
    possible = [_WRONG, UNAUTHENTICATED, STORE_UNAVAILABLE]
    body: RequestBody | None = None
    parameters: list[Parameter | Reference] = []
    if where == "body":
        body = json_body(schema_of(ListQuery), {"completed": asked, "all": {}})
        body.required = False
        possible.append(TOO_LARGE)
    else:
        parameters.extend(_query())
    return operation(
        TAG,
        f"list_predictions_by_{where}",
        f"List predictions, asked for in the {where}",
        "Your team's own, newest first, for the seven days they are kept. Fields that are not known are ignored.",
        parameters=parameters,
        body=body,
        answers={
            "200": enveloped_answer("A page.", PredictionPage, {"page": page}),
            **refusals(_LIST, possible),
        },
    )


def _query() -> list[Parameter]:
    """The fields of a list as query parameters."""
    schemas = ListQuery.model_json_schema()["properties"]
    examples = {"page": 1, "page_size": 20, "model": "openai/sora-2", "status": "completed", "include_inputs": False}
    times = {"created_after": "2026-01-01T00:00:00Z", "created_before": "2026-01-02T00:00:00Z"}
    found = []
    for name, example in (examples | times).items():
        schema = schemas[name]
        plain = next((kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"), schema)
        described = Schema.model_validate({n: v for n, v in plain.items() if n not in ("title", "description")})
        found.append(parameter(name, "query", schema["description"], described, example))
    return found


def _delete_one() -> Operation:
    """Delete one."""
    return operation(
        TAG,
        "delete_one_prediction",
        "Delete a prediction, by its path",
        "It is in no list any more and cannot be read; nothing more is sent about it. One that is going on is "
        "canceled.",
        parameters=[PREDICTION_ID],
        answers={
            "200": enveloped_answer("It is gone.", Deleted, {"deleted": {"id": EXAMPLE_ID, "status": "deleted"}}),
            **refusals(f"{_LIST}/{EXAMPLE_ID}", [UNAUTHENTICATED, PREDICTION_NOT_FOUND, CONTENDED, STORE_UNAVAILABLE]),
        },
    )


def _delete_many() -> Operation:
    """Delete several."""
    return operation(
        TAG,
        "delete_predictions",
        "Delete predictions",
        "As deleting each by its path; those that are not there are not counted.",
        body=json_body(schema_of(DeleteBody), {"one": {"ids": [EXAMPLE_ID]}}),
        answers={
            "200": enveloped_answer("They are gone.", DeletedCount, {"deleted": {"deleted_count": 1}}),
            **refusals(
                f"{_LIST}/delete",
                [Refusal.of_field("ids", "Field required"), UNAUTHENTICATED, TOO_LARGE, STORE_UNAVAILABLE],
            ),
        },
    )
