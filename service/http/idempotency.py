"""The `Idempotency-Key` of a submission: the same key and body get the same answer, and start one prediction.

draft-ietf-httpapi-idempotency-key-header writes the key as a quoted string; a bare one is taken as well.
"""

import re
from typing import Final

from starlette.requests import Request

from service.domain.errors import FieldError, InvalidInput
from service.http.deprecation import deprecation_headers
from service.http.quota_headers import quota_headers
from service.usecases.submit import Accepted

KEY: Final = re.compile(r'"(?P<quoted>[\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|(?P<bare>[\x21\x23-\x7e]{1,255})')
"""Printable ASCII, quoted or bare."""


LOW_BALANCE: Final = "upstream-balance-low"
"""What `Breakwater-Warning` says while the company's account has little money left."""


def idempotency_key(request: Request) -> str:
    """The key, or "" when there is none. Raises `InvalidInput` for one that is empty, too long or not ASCII."""
    given = [value for name, value in request.scope["headers"] if name == b"idempotency-key"]
    if not given:
        return ""
    match = KEY.fullmatch(given[0].decode("latin-1").strip()) if len(given) == 1 else None
    if match is None:
        raise InvalidInput([FieldError("Idempotency-Key", "must be one key of 1 to 255 printable ASCII characters")])
    return match["quoted"] or match["bare"]


def accepted_headers(accepted: Accepted) -> dict[str, str]:
    """What the answer to an accepted submission says beside its body: the limits, whether it was given before, whether
    its model is on its way out, and whether the account is running out of money.
    """
    replayed = {"idempotent-replayed": "true"} if accepted.replayed else {}
    low = {"breakwater-warning": LOW_BALANCE} if accepted.low_balance else {}
    return quota_headers(accepted.states) | replayed | deprecation_headers(accepted.model) | low
