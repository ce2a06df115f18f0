"""`/api/v3/media` described: uploads."""

from typing import Final

from openapi_pydantic import MediaType, Operation, PathItem, RequestBody, Schema
from pydantic import BaseModel, ConfigDict, Field

from service.http.description.envelope import enveloped_answer
from service.http.description.operations import json_body, operation, schema_of
from service.http.description.refusals import (
    OVERLOADED,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    TOO_MANY_OPEN,
    UNAUTHENTICATED,
    UPSTREAM_ACCOUNT,
    UPSTREAM_CAPACITY,
    UPSTREAM_REFUSED,
    UPSTREAM_REFUSED_ODDLY,
    UPSTREAM_UNREADABLE,
    Refusal,
    refusals,
)
from service.http.wavespeed.media import UploadTicket

TAG: Final = "Uploads"

_FILE: Final = {"type": "image", "filename": "pier.png", "size": 48_211}
_BINARY: Final = "/api/v3/media/upload/binary"
_OLDER: Final = ("/api/v3/upload", "/api/v3/uploads")
_URL: Final = "https://media.example.com/uploads/pier.png"


class StoragePut(BaseModel):
    """How the file gets to the storage."""

    model_config = ConfigDict(extra="allow")

    method: str
    url: str = Field(description="The storage itself; without any key of yours.")
    headers: dict[str, str] = Field(description="To be sent exactly as they are.")
    expires_at: str


class Uploaded(BaseModel):
    """A file that was uploaded. Fields WaveSpeed adds are passed on."""

    model_config = ConfigDict(extra="allow")

    type: str
    download_url: str = Field(description="To be given to a model.")
    filename: str
    size: int = Field(description="Bytes.")


class UploadedOlder(Uploaded):
    """The same, and where it can be read once more under the name it had in older answers."""

    url: str = Field(description="As `download_url`.")


class Ticket(Uploaded):
    """Where a file may be put, and where it can be read then."""

    upload: StoragePut


def paths() -> dict[str, PathItem]:
    """Both ways of uploading, the second also where older clients have it."""
    return {
        "/api/v3/media/uploads": PathItem(post=_ticket()),
        _BINARY: PathItem(post=_file(_BINARY, "upload_file")),
        **{path: PathItem(post=_file(path, f"upload_file_{path.rpartition('/')[2]}")) for path in _OLDER},
    }


_POSSIBLE: Final = (
    UNAUTHENTICATED,
    TOO_LARGE,
    UPSTREAM_REFUSED,
    UPSTREAM_REFUSED_ODDLY,
    UPSTREAM_CAPACITY,
    UPSTREAM_ACCOUNT,
    UPSTREAM_UNREADABLE,
    STORE_UNAVAILABLE,
)


def _ticket() -> Operation:
    """Ask for a ticket."""
    put = {"method": "PUT", "url": f"{_URL}?signature=...", "headers": {}, "expires_at": "2026-01-01T01:00:00Z"}
    example = {**_FILE, "download_url": _URL, "upload": put}
    return operation(
        TAG,
        "create_upload",
        "Ask where to upload a file",
        "The file is then PUT to the storage itself, which needs access to it; where there is none, use the other way. "
        "Uploads cost nothing.",
        body=json_body(schema_of(UploadTicket), {"image": {"filename": "pier.png", "size": 48_211}}),
        answers={
            "200": enveloped_answer("Where to.", Ticket, {"ticket": example}),
            **refusals("/api/v3/media/uploads", [Refusal.of_field("filename", "Field required"), *_POSSIBLE]),
        },
    )


def _file(path: str, operation_id: str) -> Operation:
    """Upload a file through the gateway."""
    form = Schema(
        type="object",
        required=["file"],
        properties={"file": Schema(type="string", schema_format="binary", description="The file.")},
    )
    wrong = Refusal.of_field("Content-Type", "must be multipart/form-data with a boundary")
    example = {**_FILE, "download_url": _URL}
    older = path in _OLDER
    uploaded = (
        enveloped_answer("Uploaded.", UploadedOlder, {"file": {**example, "url": _URL}})
        if older
        else enveloped_answer("Uploaded.", Uploaded, {"file": example})
    )
    return operation(
        TAG,
        operation_id,
        "Upload a file, where old clients do" if older else "Upload a file",
        "Passed on to WaveSpeed byte for byte while it comes in.",
        body=RequestBody(required=True, content={"multipart/form-data": MediaType(media_type_schema=form)}),
        answers={
            "200": uploaded,
            **refusals(path, [wrong, *_POSSIBLE, TOO_MANY_OPEN, OVERLOADED]),
        },
    )
