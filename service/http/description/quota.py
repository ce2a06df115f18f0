"""`/v1/quota` described."""

from typing import Final

from openapi_pydantic import PathItem

from service.domain.timestamps import rfc3339
from service.http.description.operations import EXAMPLE_TIME_MS, QUOTA_HEADERS, json_answer, operation
from service.http.description.refusals import STORE_UNAVAILABLE, UNAUTHENTICATED, refusals
from service.http.native.quota import LimitShown, MoneyShown, Quota

TAG: Final = "Limits"


def paths() -> dict[str, PathItem]:
    """Where a team's limits stand."""
    return {"/v1/quota": _quota()}


def _quota() -> PathItem:
    """Read the limits."""
    month = rfc3339(EXAMPLE_TIME_MS + 31 * 86_400_000)
    rate = LimitShown(
        name="rate", limit=10, used=1, left=9, window_s=60, resets_at=rfc3339(EXAMPLE_TIME_MS + 6_000), shadow=False
    )
    slots = LimitShown(name="concurrency", limit=8, used=5, left=3, window_s=None, resets_at=None, shadow=False)
    budget = LimitShown(
        name="budget", limit="500.00", used="87.50", left="412.50", window_s=2_678_400, resets_at=month, shadow=False
    )
    money = MoneyShown(month="2026-01", held_usd="2.00", settled_usd="85.50", released_usd="1.20")
    return PathItem(
        get=operation(
            TAG,
            "read_quota",
            "Read where your limits stand",
            "Every limit your team has, how much of it is used and when it resets, and the month's money. Reading "
            "spends nothing. A limit that would be passed refuses a submission with 429, the budget with 402.",
            answers={
                "200": json_answer(
                    "The limits and the money.",
                    Quota,
                    {"quota": Quota(limits=[rate, slots, budget], money=money).model_dump()},
                    QUOTA_HEADERS,
                ),
                **refusals("/v1/quota", [UNAUTHENTICATED, STORE_UNAVAILABLE]),
            },
        )
    )
