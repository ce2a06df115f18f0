"""Query parameters: read one by one, with errors that name them."""

from datetime import datetime

from starlette.requests import Request

from service.domain.errors import FieldError, InvalidInput


def whole_number(request: Request, name: str, default: int, most: int) -> int:
    """A number from 1 to `most`. Raises `InvalidInput`."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > len(str(most)) or not 1 <= int(given) <= most:
        raise InvalidInput([FieldError(name, f"must be 1 to {most}")])
    return int(given)


def one_of(request: Request, name: str, choices: tuple[str, ...]) -> str | None:
    """One of some words, None when it is not given. Raises `InvalidInput`."""
    given = request.query_params.get(name)
    if given is not None and given not in choices:
        raise InvalidInput([FieldError(name, f"must be one of {', '.join(choices)}")])
    return given


def moment_ms(request: Request, name: str, default: int | None = None) -> int:
    """A time (RFC 3339, with its zone) in unix ms. Raises `InvalidInput` for anything else, or nothing."""
    given = request.query_params.get(name)
    if given is None and default is not None:
        return default
    return moment_of(given or "", name)


def moment_of(text: str, name: str) -> int:
    """A time in unix ms. Raises `InvalidInput`."""
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + arrives as a blank
        if at.tzinfo is None:
            raise ValueError("no zone")
        return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidInput([FieldError(name, "must be a time like 2026-01-31T12:00:00Z")]) from None
