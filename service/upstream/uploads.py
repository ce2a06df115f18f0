"""Uploads to WaveSpeed with our key: a ticket for its storage, or a whole multipart body, passed on as it comes in."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.domain.json_forms import json_bytes
from service.upstream.client import READ_S, WaveSpeed, read_failure
from service.upstream.payloads import upload_answer

UPLOAD_S: Final = 600.0
"""Longest upload, in seconds."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Both forms. Raise `UpstreamRefused` (or its kinds) when WaveSpeed says no, `ReadFailed` for no readable answer.

    Nothing is sent twice; an upload costs nothing, so its caller may try again.
    """

    upstream: WaveSpeed

    async def ticket(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where a file may be PUT, and under which URL it can be read then."""
        request = self.upstream.request(
            "POST", "media/uploads", json_bytes(wanted), {"content-type": "application/json"}
        )
        return await self.upstream.call("upload", request, READ_S, upload_answer, read_failure)

    async def multipart(self, body: AsyncIterator[bytes], content_type: str, length: int | None) -> Mapping[str, Any]:
        """Pass a body on, byte for byte, as fast as WaveSpeed takes it; `length` in bytes, if it is known."""
        headers = {"content-type": content_type} | ({} if length is None else {"content-length": str(length)})
        request = self.upstream.request("POST", "media/upload/binary", body, headers)
        return await self.upstream.call("upload", request, UPLOAD_S, upload_answer, read_failure)
