"""Uploads in both forms, and the finished videos."""

import re
from collections import OrderedDict
from email import message_from_bytes, policy
from typing import Any, Final, cast

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid4

from simulator.bodies import read_bytes, read_model
from simulator.predictions import base_url, success
from simulator.state import State
from simulator.tasks import rfc3339
from simulator.wire import answer, error

MAX_UPLOAD_BYTES: Final = 50_000_000
MAX_KEPT: Final = 20
"""Uploads kept; the oldest leave first."""

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class Ticket(BaseModel):
    """Body of `POST /api/v3/media/uploads`."""

    filename: str = Field(min_length=1, max_length=500)
    size: int = Field(ge=0, le=MAX_UPLOAD_BYTES)
    content_type: str = "application/octet-stream"


class Media:
    """The handlers. Uploads live in memory, few at a time."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    async def ticket(self, request: Request) -> Response:
        """Answer where a file may be PUT."""
        wanted = await read_model(request, Ticket)
        if isinstance(wanted, Response):
            return wanted
        url = f"{base_url(request)}/uploads/{uuid4().hex}"
        upload = {
            "method": "PUT",
            "url": url,
            "headers": {"content-type": wanted.content_type},
            "expires_at": rfc3339(self._state.clock() + 3600),
        }
        data = {
            "type": wanted.content_type.partition("/")[0],
            "download_url": url,
            "filename": wanted.filename,
            "size": wanted.size,
            "upload": upload,
        }
        return await answer(request, self._state.faults.take("upload"), success(data))

    async def put(self, request: Request) -> Response:
        """Take a file where a ticket said it may go. No key is asked for, as with storage."""
        body = await read_bytes(request, MAX_UPLOAD_BYTES)
        if isinstance(body, Response):
            return body
        self._keep(request.path_params["name"], request.headers.get("content-type", ""), body)
        return Response(status_code=200)

    async def multipart(self, request: Request) -> Response:
        """Take a multipart upload with one field named `file`."""
        body = await read_bytes(request, MAX_UPLOAD_BYTES)
        if isinstance(body, Response):
            return body
        head = f"content-type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
        message = message_from_bytes(head + body, policy=policy.HTTP)
        for part in message.iter_parts():
            if part.get_param("name", header="content-disposition") == "file":
                content = cast(bytes, part.get_payload(decode=True) or b"")
                name = uuid4().hex
                self._keep(name, part.get_content_type(), content)
                data: dict[str, Any] = {
                    "type": part.get_content_maintype(),
                    "download_url": f"{base_url(request)}/uploads/{name}",
                    "filename": part.get_filename() or "file",
                    "size": len(content),
                }
                return await answer(request, self._state.faults.take("upload"), success(data))
        return error(400, "file: is required")

    def _keep(self, name: str, content_type: str, body: bytes) -> None:
        self._kept[name] = content_type or "application/octet-stream", body
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def uploaded(self, request: Request) -> Response:
        """A kept upload."""
        kept = self._kept.get(request.path_params["name"])
        return _ranged(request, kept[1], kept[0]) if kept else error(404, "no such file")

    async def output(self, request: Request) -> Response:
        """The video of a completed run: a real, small MP4."""
        task = self._state.tasks.get(request.path_params["name"])
        if task is None or task.status(self._state.clock()) != "completed":
            return error(404, "no such output")
        return _ranged(request, self._state.clip, "video/mp4")


def _ranged(request: Request, content: bytes, content_type: str) -> Response:
    """The content, or the one range of it that was asked for (RFC 9110 §14)."""
    headers = {"accept-ranges": "bytes"}
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if not match or match[0] == "bytes=-":
        return Response(content, headers=headers, media_type=content_type)
    first = int(match[1]) if match[1] else max(0, len(content) - int(match[2]))
    last = min(int(match[2]), len(content) - 1) if match[1] and match[2] else len(content) - 1
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(content)}"})
    headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, content_type)
