"""Request bodies: read within the limit, parsed once, with errors that name the place."""

import re
from math import isinf
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from service.domain.errors import FieldError, InvalidInput
from service.http.error_table import PayloadTooLarge
from service.http.headers import header

_MAYBE_HUGE: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{309}")
"""What a number beyond a double's range looks like; a text may hold the same, so the parsed body decides."""

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises `PayloadTooLarge` as soon as it passes `limit` bytes, declared or real."""
    declared = header(request.scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise PayloadTooLarge(f"the body is larger than {limit} bytes")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise PayloadTooLarge(f"the body is larger than {limit} bytes")
    except ClientDisconnect:  # nobody reads the answer, but it is no crash of ours
        raise InvalidInput([FieldError("", "the body ended too early")]) from None
    return bytes(body)


async def read_json_object(request: Request, limit: int) -> dict[str, Any]:
    """The body as a JSON object. Raises `InvalidInput` naming line and column, or `PayloadTooLarge`."""
    return _json_object(await read_body(request, limit))


async def read_json_object_or_nothing(request: Request, limit: int) -> dict[str, Any]:
    """The same where every field may be left out: no body is an empty object."""
    return _json_object(await read_body(request, limit) or b"{}")


def _json_object(body: bytes) -> dict[str, Any]:
    """Parse a body. Raises `InvalidInput`."""
    try:
        parsed = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput([FieldError("", f"the body is not valid JSON: {error}")]) from None
    if not isinstance(parsed, dict):
        raise InvalidInput([FieldError("", "the body must be a JSON object")])
    if _MAYBE_HUGE.search(body) and (where := _infinite(parsed)) is not None:
        raise InvalidInput([FieldError(where, "is a number too large to be passed on")])
    return parsed


def _infinite(value: Any, path: str = "") -> str | None:
    """The path of the first number that JSON could write and a double cannot hold, or None."""
    if isinstance(value, float):
        return path if isinf(value) else None
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        if (found := _infinite(child, f"{path}.{name}" if path else str(name))) is not None:
            return found
    return None


async def read_model(request: Request, model: type[Model], limit: int) -> Model:
    """The body as `model`. Raises `InvalidInput` naming every wrong field."""
    return as_model(await read_json_object(request, limit), model)


def as_model(values: dict[str, Any], model: type[Model], *, strict: bool | None = None) -> Model:
    """Validate already parsed JSON. Raises `InvalidInput` naming every wrong field.

    `strict` says whether texts may stand for numbers and the like, where the model does not say it itself.
    """
    try:
        return model.model_validate(values, strict=strict)
    except ValidationError as error:
        raise InvalidInput(
            [
                FieldError(".".join(str(part) for part in e["loc"]), e["msg"])
                for e in error.errors(include_url=False, include_input=False)
            ]
        ) from None
