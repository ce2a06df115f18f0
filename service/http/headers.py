"""A request's headers as the server gives them: Starlette's mapping of them costs several times as much a look."""

from collections.abc import MutableMapping
from typing import Any


def header(scope: MutableMapping[str, Any], name: bytes) -> bytes:
    """The first header of this name (in lower case), or nothing."""
    for given, value in scope["headers"]:
        if given == name:
            return bytes(value)
    return b""
