"""WaveSpeed's success envelope, and predictions in it: as their URLs, or with the outputs themselves in base64."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from service.domain.errors import OutputDenied, OutputGone, Overloaded, ReadFailed, TooManyOpen
from service.domain.json_forms import json_bytes
from service.domain.predictions import State
from service.http.streaming import PiecewiseResponse
from service.upstream.outputs import OpenOutput, Outputs, output_url

_JSON: Final = "application/json"

NO_STORE: Final = {"cache-control": "no-store"}
"""For answers that nothing on the way may keep."""


def success(data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Answer 200 with `data` in the envelope; never an `error` at its top, which some clients take for a failure."""
    body = json_bytes({"code": 200, "message": "success", "data": data})
    return Response(body, headers=dict(headers or {}), media_type=_JSON)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Answers a prediction with its outputs in base64, encoded while they are fetched, never held as a whole."""

    outputs: Outputs

    async def success(self, data: dict[str, Any], tenant_id: str, headers: Mapping[str, str] | None = None) -> Response:
        """Answer a prediction in WaveSpeed's shape.

        While an output cannot be fetched it is answered as still `processing`: a client asks again, where an error
        would end its wait. Only where no asking again helps, as `failed`, with the reason.
        """
        try:
            async with AsyncExitStack() as stack:
                opened = [await self._opened(output, tenant_id, stack) for output in data["outputs"]]
                pieces = _encoded(data, opened)
                return PiecewiseResponse(pieces, headers=headers, media_type=_JSON, open_until_sent=stack.pop_all())
        except (OutputGone, ReadFailed, TooManyOpen, Overloaded):
            told = {"status": State.PROCESSING.value, "outputs": []}
        except OutputDenied as denial:
            told = {"status": State.FAILED.value, "outputs": [], "error": str(denial)}
        return success(data | told, headers)

    async def _opened(self, output: Any, tenant_id: str, stack: AsyncExitStack) -> OpenOutput | bytes:
        """An output about to be fetched; what is no file as it is."""
        url = output_url(output)
        return await self.outputs.open(url, tenant_id, stack) if url else json_bytes(output)


async def _encoded(data: dict[str, Any], opened: list[OpenOutput | bytes]) -> AsyncGenerator[bytes, None]:
    """The envelope, with the outputs spliced in last."""
    rest = json_bytes({name: value for name, value in data.items() if name != "outputs"})
    yield b'{"code":200,"message":"success","data":%b,"outputs":[' % rest[:-1]
    for number, output in enumerate(opened):
        if number:
            yield b","
        if isinstance(output, bytes):
            yield output
            continue
        yield b'"'
        left = b""
        async for piece in output.pieces:
            piece = left + piece
            whole = len(piece) - len(piece) % 3  # so that only the last of it is padded
            left = piece[whole:]
            yield b64encode(piece[:whole])
        yield b64encode(left) + b'"'
    yield b"]}}"
