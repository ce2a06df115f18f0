"""`/api/v3/media`: files for models to work on, uploaded to WaveSpeed through the gateway."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.domain.errors import FieldError, InvalidInput, ReadFailed
from service.domain.places import Places
from service.domain.tenants import Tenant
from service.domain.whole_numbers import WHOLE
from service.http.bodies import read_model
from service.http.error_table import PayloadTooLarge
from service.http.wavespeed.envelope import success
from service.upstream.uploads import Uploads

EACH: Final = 8
TOTAL: Final = 64
"""How many uploads a tenant, and all of them, may pass through one process at once."""

SILENCE_S: Final = 30.0
"""Longest wait for the next piece of an upload, in seconds."""


class UploadTicket(BaseModel):
    """Which file is to be uploaded. Fields beside these go on as they are."""

    model_config = ConfigDict(extra="allow", strict=True)

    filename: str = Field(min_length=1, max_length=500)
    size: Annotated[int, Field(ge=0), WHOLE] = Field(description="Bytes.")
    content_type: str = Field("", max_length=200)


@dataclass(slots=True)
class _Passed:
    """A body on its way through: counted, and cut off where it is too long, too slow or ends too early."""

    request: Request
    limit: int
    passed: int = 0
    failure: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body piece by piece; the next one is only taken when there is room for it upstream."""
        stream = self.request.stream()
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    piece = await anext(stream, None)
                if piece is None:
                    return
                self.passed += len(piece)
                if self.passed > self.limit:
                    raise PayloadTooLarge(f"the upload is larger than {self.limit} bytes")
                if piece:
                    yield piece
        except ClientDisconnect:
            self.failure = InvalidInput([FieldError("", "the body ended too early")])
            raise
        except TimeoutError:
            self.failure = InvalidInput([FieldError("", f"nothing more of the body came for {SILENCE_S:g} s")])
            raise
        except PayloadTooLarge as too_large:
            self.failure = too_large
            raise


@dataclass(frozen=True, slots=True)
class MediaHandlers:
    """A ticket for storage, or the file itself. Uploads cost nothing and count against no limit but their size."""

    uploads: Uploads
    max_body_bytes: int
    max_upload_bytes: int
    places: Places = field(default_factory=lambda: Places("uploads", EACH, TOTAL))

    async def ticket(self, request: Request, tenant: Tenant) -> Response:
        """Answer where the file is to be PUT: at the storage itself, without any key."""
        wanted = await read_model(request, UploadTicket, self.max_body_bytes)
        if wanted.size > self.max_upload_bytes:
            raise PayloadTooLarge(f"size: the upload is larger than {self.max_upload_bytes} bytes")
        return success(await self.uploads.ticket(wanted.model_dump(exclude_unset=True)))

    async def binary(self, request: Request, tenant: Tenant) -> Response:
        """Pass a multipart body on, byte for byte and piece by piece, and answer where the file can be read."""
        return success(await self._passed_on(request, tenant))

    async def older(self, request: Request, tenant: Tenant) -> Response:
        """The same where older pages of WaveSpeed's have it: the answer also says where under the name they give."""
        uploaded = await self._passed_on(request, tenant)
        return success({"url": uploaded.get("download_url", ""), **uploaded})

    async def _passed_on(self, request: Request, tenant: Tenant) -> Mapping[str, Any]:
        """What WaveSpeed says of a file that came as multipart."""
        content_type = request.headers.get("content-type", "")
        kind, _, parameters = content_type.partition(";")
        if kind.strip().lower() != "multipart/form-data" or "boundary=" not in parameters.lower():
            told = "must be multipart/form-data with a boundary, and the file in the field `file`"
            raise InvalidInput([FieldError("Content-Type", told)])
        declared = request.headers.get("content-length", "")
        length = int(declared) if declared.isascii() and declared.isdigit() else None
        if length is not None and length > self.max_upload_bytes:
            raise PayloadTooLarge(f"the upload is larger than {self.max_upload_bytes} bytes")
        passed = _Passed(request, self.max_upload_bytes)
        with self.places.taken_by(tenant.id):
            try:
                return await self.uploads.multipart(passed.pieces(), content_type, length)
            except ReadFailed:
                if passed.failure is not None:  # it was not WaveSpeed that failed
                    raise passed.failure from None
                raise
