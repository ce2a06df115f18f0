"""What happened to a tenant's predictions and endpoints, in order: the log that webhooks are sent from.

An entry names a prediction's event, whose body is kept with the prediction, or carries a body of its own. Its place in
the log is the cursor.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from service.domain.errors import FieldError, InvalidInput
from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands

CURSOR: Final = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")
"""A place in the log: the id of an entry."""

_ROUNDS: Final = 10
"""How many times a page's length of entries is read for one page."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event: `id` is the `webhook-id` of its deliveries, `body` what they carry."""

    cursor: str
    id: str
    type: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, and the cursor to go on from (the given one, when there was nothing).

    `more` when there may be more right now; `gap` when events right after the given cursor are no longer kept.
    """

    events: list[LoggedEvent]
    cursor: str
    more: bool
    gap: bool


class EventLog:
    """Reads the log. Raises `StoreUnavailable` when Redis is away."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def page(self, tenant_id: str, after: str, limit: int, types: frozenset[str]) -> EventPage:
        """Up to `limit` events after a cursor ("" begins with the oldest kept), of these types (none: of every type).

        Raises `InvalidInput` for a cursor that is none of ours.
        """
        if after and not CURSOR.fullmatch(after):
            raise InvalidInput([FieldError("after", "is not a cursor of this list")])
        log = keys.tenant_events(tenant_id)
        gap = bool(after) and await self._lost_after(log, after)
        found: list[LoggedEvent] = []
        cursor = after
        for _ in range(_ROUNDS):
            start = f"({cursor}" if cursor else "-"
            entries = await self._commands("XRANGE", log, start, "+", "COUNT", limit)
            events = await asyncio.gather(*(self._event(entry, fields, types) for entry, fields in entries))
            for (entry, _fields), event in zip(entries, events, strict=True):
                cursor = entry.decode()
                if event is not None:
                    found.append(event)
                if len(found) == limit:
                    return EventPage(found, cursor, more=True, gap=gap)
            if len(entries) < limit:
                return EventPage(found, cursor, more=False, gap=gap)
        return EventPage(found, cursor, more=True, gap=gap)

    async def _lost_after(self, log: str, after: str) -> bool:
        """Whether the log begins after that cursor, so that what came in between may be lost."""
        oldest = await self._commands("XRANGE", log, "-", "+", "COUNT", 1)
        return bool(oldest) and _order(oldest[0][0].decode()) > _order(after)

    async def _event(self, entry: bytes, fields: list[bytes], types: frozenset[str]) -> LoggedEvent | None:
        """One entry with its body; None when it is not wanted, or when its prediction is no longer kept."""
        values = {name.decode(): value for name, value in pairs(fields).items()}
        type_ = values["type"].decode()
        if types and type_ not in types:
            return None
        if "body" in values:
            return LoggedEvent(entry.decode(), values["id"].decode(), type_, from_json(values["body"]))
        prediction, sequence = values["prediction"].decode(), values["sequence"].decode()
        body = await self._commands("HGET", keys.prediction_events(prediction), sequence)
        if body is None:
            return None
        return LoggedEvent(entry.decode(), f"evt_{prediction}_{sequence}", type_, from_json(body))


def _order(cursor: str) -> tuple[int, int]:
    """A cursor as it sorts."""
    at, _, number = cursor.partition("-")
    return int(at), int(number)
