"""Reading a Retry-After header (RFC 9110 §10.2.3): a number of seconds, or the date to wait for."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_S: Final = 86_400.0 * 7
"""The longest wish that is passed on, in seconds; a longer one counts as this."""

_MAX_LENGTH: Final = 64
"""The longest HTTP-date has 33 characters: a value much longer is nonsense, and is not parsed at all."""

# The grammar has whole numbers only; decimals and negatives are sent all the same, and their meaning is plain.
_SECONDS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
# All three date forms begin with a day's name. Without it the parser below would read a date into "1 2 3" as well.
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? [ -~]+")


def parse_retry_after(value: str, now_s: float) -> float | None:
    """How many seconds the sender of this header asks to be left alone: from 0 to `MAX_RETRY_AFTER_S`.

    `now_s` is the current time in seconds since 1970, for dates. A negative number or a date that has passed is 0;
    what is neither a number nor a date is None. Never raises.
    """
    text = value.strip()
    if len(text) > _MAX_LENGTH:
        return None
    if _SECONDS.fullmatch(text):
        wished_s = float(text)
    elif _DATE.fullmatch(text):
        try:
            date = parsedate_to_datetime(text)
            # One of the forms names no time zone, and an HTTP-date is always in UTC.
            wished_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    else:
        return None
    return min(max(wished_s, 0.0), MAX_RETRY_AFTER_S)
