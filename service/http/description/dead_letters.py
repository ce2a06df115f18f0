"""`/admin/v1/dead-letters` described."""

from typing import Final

from openapi_pydantic import PathItem, Schema

from service.domain.timestamps import rfc3339
from service.http.admin.dead_letters import DeadLetter, DeadLetters, ResentLetters, WhatToResend
from service.http.description.deliveries import CURSOR, EXAMPLE_DELIVERY, LIMIT
from service.http.description.endpoints import EXAMPLE_ENDPOINT
from service.http.description.operations import (
    EXAMPLE_TIME_MS,
    OPERATORS,
    json_answer,
    json_body,
    operation,
    parameter,
    schema_of,
)
from service.http.description.refusals import NO_OPERATOR, STORE_UNAVAILABLE, TOO_LARGE, Refusal, refusals
from service.http.native.deliveries import MAX_PAGE
from service.usecases.resend import MOST_AT_ONCE

_PATH: Final = "/admin/v1/dead-letters"


def paths(tag: str) -> dict[str, PathItem]:
    """Deliveries that were given up, for operators."""
    page = DeadLetters(data=[DeadLetter(tenant="acme", **EXAMPLE_DELIVERY.model_dump())], next_cursor=None)
    wanted = WhatToResend(tenant="acme", endpoint_id=EXAMPLE_ENDPOINT, since=rfc3339(EXAMPLE_TIME_MS))
    listed = operation(
        tag,
        "list_dead_letters",
        "List deliveries that were given up",
        "Newest first, of every tenant or one. A page may be shorter than asked for and still have one after it.",
        parameters=[
            parameter("tenant", "query", "Of one tenant.", Schema(type="string"), "acme"),
            parameter("endpoint_id", "query", "Of one endpoint.", Schema(type="string"), EXAMPLE_ENDPOINT),
            LIMIT,
            CURSOR,
        ],
        answers={
            "200": json_answer("A page.", DeadLetters, {"dead_letters": page.model_dump(mode="json")}),
            **refusals(_PATH, [Refusal.of_query("limit", f"must be 1 to {MAX_PAGE}"), NO_OPERATOR, STORE_UNAVAILABLE]),
        },
        security=OPERATORS,
    )
    resent = operation(
        tag,
        "resend_dead_letters",
        "Send dead letters again",
        f"All that fit, at most {MOST_AT_ONCE:,} in one call; the next call goes on. Those of endpoints that are "
        "disabled or deleted come back at once.",
        body=json_body(schema_of(WhatToResend), {"which": wanted.model_dump(mode="json")}),
        answers={
            "200": json_answer("They are on their way.", ResentLetters, {"resent": {"resent": 17}}),
            **refusals(
                _PATH,
                [
                    Refusal.of_field("since", "must be a time like 2026-01-31T12:00:00Z"),
                    NO_OPERATOR,
                    TOO_LARGE,
                    STORE_UNAVAILABLE,
                ],
            ),
        },
        security=OPERATORS,
    )
    return {_PATH: PathItem(get=listed), f"{_PATH}/resend": PathItem(post=resent)}
