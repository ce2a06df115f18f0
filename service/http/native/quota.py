"""`/v1/quota`: a tenant's limits, how much of each is used, and when it resets."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.limits import Ledger, LimitName, LimitState, window_of
from service.domain.money import dollars
from service.domain.tenants import Tenant
from service.domain.timestamps import rfc3339
from service.http.quota_headers import quota_headers
from service.stores.quota_ledger import QuotaLedger
from service.stores.tenant_store import TenantStore


class LimitShown(BaseModel):
    """One limit. The budget's amounts are dollars as text, all others are numbers."""

    name: LimitName
    limit: int | str = Field(description="How much is allowed in the window.")
    used: int | str = Field(description="How much is used; of a budget what is held and what is settled.")
    left: int | str = Field(description="What is left; never below zero.")
    window_s: int | None = Field(description="Length of the window in seconds; none for `concurrency`.")
    resets_at: str | None = Field(description="When it is all free again; unknown for `concurrency`.")
    shadow: bool = Field(description="Whether it is only counted and refuses nothing.")


class MoneyShown(BaseModel):
    """Money of the current month, in dollars as text."""

    month: str
    held_usd: str = Field(description="Reserved for predictions that have not ended.")
    settled_usd: str = Field(description="Spent on completed predictions.")
    released_usd: str = Field(description="Given back: failed or refused predictions.")


class Quota(BaseModel):
    """Every limit that is set, and the money of the month."""

    limits: list[LimitShown]
    money: MoneyShown


@dataclass(frozen=True, slots=True)
class QuotaHandler:
    """Answer where the tenant's limits stand; reading spends nothing."""

    ledger: QuotaLedger
    tenants: TenantStore
    clock: Callable[[], float]

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer every limit, with the same header fields as submissions."""
        now_ms = int(self.clock() * 1000)
        limits = (await self.tenants.get(tenant.id)).limits
        states = await self.ledger.standing(tenant.id, limits, now_ms)
        money = await self.ledger.ledger(tenant.id, window_of(now_ms).month)
        quota = Quota(
            limits=[_shown(state, state.name in limits.shadow, now_ms) for state in states], money=money_shown(money)
        )
        return Response(quota.model_dump_json(), headers=quota_headers(states), media_type="application/json")


def money_shown(ledger: Ledger) -> MoneyShown:
    """A month's money for people."""
    return MoneyShown(
        month=ledger.month,
        held_usd=dollars(ledger.held),
        settled_usd=dollars(ledger.settled),
        released_usd=dollars(ledger.released),
    )


def _shown(state: LimitState, shadow: bool, now_ms: int) -> LimitShown:
    """One limit for people."""

    def amount(value: int) -> int | str:
        return dollars(value) if state.name == "budget" else value

    return LimitShown(
        name=state.name,
        limit=amount(state.limit),
        used=amount(state.used),
        left=amount(max(0, state.left)),
        window_s=state.window_s or None,
        resets_at=rfc3339(now_ms + state.resets_in_ms) if state.window_s else None,
        shadow=shadow,
    )
