"""WaveSpeed's own way in described: what it calls when a run has ended."""

from typing import Any, Final

from openapi_pydantic import PathItem, Schema
from pydantic import BaseModel, ConfigDict, Field

from service.http.description.operations import (
    EXAMPLE_ID,
    EXAMPLE_TIME_MS,
    json_answer,
    json_body,
    operation,
    parameter,
    schema_of,
)
from service.http.description.refusals import (
    CONTENDED,
    NOT_ADDRESSED,
    NOT_SIGNED,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    UPSTREAM_UNREADABLE,
    Refusal,
    refusals,
)
from service.upstream.payloads import ID

TAG: Final = "WaveSpeed's callbacks"

_PATH: Final = "/callbacks/wavespeed/{signed_id}"
_SIGNED_ID: Final = f"{EXAMPLE_ID}.p6LPSKRlWqfYVgFPW3D1D4fkM8Bz2pX9Qf0a7vJt3dE"


class UpstreamTask(BaseModel):
    """A task as WaveSpeed describes it; what else it says of it is kept."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(pattern=f"^{ID.pattern}$", description="WaveSpeed's own id of the task.")
    status: Any = Field(None, description="What became of it; an unknown word means that it is still going.")


class Received(BaseModel):
    """What is WaveSpeed's was taken, whether or not it changed anything."""

    received: bool


def paths() -> dict[str, PathItem]:
    """The one path."""
    signed = parameter(
        "signed_id", "path", "The prediction's id with the gateway's signature.", Schema(type="string"), _SIGNED_ID
    )
    task = {"id": "a1b2c3d4e5f6", "status": "completed", "outputs": ["https://media.example.com/pier.mp4"]}
    return {
        _PATH: PathItem(
            post=operation(
                TAG,
                "receive_callback",
                "Take what WaveSpeed tells",
                "For WaveSpeed alone, which is given this address with each submission. The address is signed by the "
                "gateway, and what is sent there by WaveSpeed: without both nothing happens. What is told twice "
                "changes nothing.",
                parameters=[
                    signed,
                    *(
                        parameter(name, "header", meaning, Schema(type="string"), example, required=True)
                        for name, meaning, example in (
                            ("webhook-id", "The message's id.", "msg_1"),
                            ("webhook-timestamp", "Unix seconds, at most 300 from now.", str(EXAMPLE_TIME_MS // 1000)),
                            ("webhook-signature", "`v3,` and an HMAC-SHA256 in hex, with WaveSpeed's secret.", "v3,0"),
                        )
                    ),
                ],
                body=json_body(schema_of(UpstreamTask), {"completed": task}),
                answers={
                    "200": json_answer("Taken.", Received, {"received": {"received": True}}),
                    **refusals(
                        _PATH.replace("{signed_id}", _SIGNED_ID),
                        [
                            Refusal.of_field("", "is not a prediction"),
                            NOT_SIGNED,
                            NOT_ADDRESSED,
                            CONTENDED,
                            TOO_LARGE,
                            UPSTREAM_UNREADABLE,
                            STORE_UNAVAILABLE,
                        ],
                    ),
                },
                security=(),
            )
        )
    }
