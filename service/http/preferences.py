"""The `Prefer` header (RFC 7240): how long a caller would like to wait for the end of its prediction."""

import re
from typing import Final

from starlette.requests import Request

_TOKEN: Final = re.compile(r'\s*(?P<name>[A-Za-z-]+)\s*(?:=\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s;,"]*)))?')
"""One preference; parameters after a semicolon are of no interest here."""


def preferred_wait_s(request: Request, most_s: float) -> int:
    """How many seconds to wait, at most `most_s`; 0 without such a wish, or with one that is no number."""
    for line in request.headers.getlist("prefer"):
        for preference in line.split(","):
            match = _TOKEN.match(preference)
            if match is None or match["name"].lower() != "wait":
                continue
            value = (match["quoted"] or match["bare"] or "").strip()
            if value.isascii() and value.isdigit() and len(value) <= 9:
                return min(int(value), int(most_s))
            return 0  # a wish that cannot be read may be ignored
    return 0


def applied(wait_s: int) -> dict[str, str]:
    """What an answer says of the wish that was granted."""
    return {"preference-applied": f"wait={wait_s}"} if wait_s else {}
