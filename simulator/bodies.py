"""Request bodies: bounded, parsed, validated; what is wrong comes back as the 400 that names it."""

from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from simulator.wire import error

MAX_BODY_BYTES: Final = 4_194_304

Model = TypeVar("Model", bound=BaseModel)


async def read_bytes(request: Request, limit: int) -> bytes | Response:
    """The body, or a 413 when it is larger than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return error(413, f"the body is larger than {limit} bytes")
    return bytes(body)


async def read_object(request: Request) -> dict[str, Any] | Response:
    """The body as a JSON object, or the error that says what is wrong with it; no body is an empty object."""
    body = await read_bytes(request, MAX_BODY_BYTES)
    if isinstance(body, Response):
        return body
    try:
        parsed = from_json(body or b"{}")
    except ValueError as broken:
        return error(400, f"invalid JSON: {broken}")
    return parsed if isinstance(parsed, dict) else error(400, "the body must be a JSON object")


async def read_model(request: Request, model: type[Model]) -> Model | Response:
    """The body as `model`, or the 400 that names the first wrong field."""
    body = await read_object(request)
    if isinstance(body, Response):
        return body
    try:
        return model.model_validate(body)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        return error(400, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
