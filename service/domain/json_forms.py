"""JSON as it is stored and sent, and as it is compared."""

import json
from hashlib import sha256
from typing import Any, Final

from pydantic_core import to_json


def json_bytes(value: Any) -> bytes:
    """Compact JSON as bytes, fields in their order: what is stored and sent."""
    return to_json(value, inf_nan_mode="null")


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fingerprint(value: Any) -> str:
    """SHA-256 of a value's canonical JSON (fields sorted): equal for inputs that mean the same."""
    return sha256(_CANONICAL(value).encode()).hexdigest()
