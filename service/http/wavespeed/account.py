"""`/api/v3`, a tenant's own account: the secret of its per-request callbacks, and its balance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.domain.limits import window_of
from service.domain.money import MICROS_PER_DOLLAR
from service.domain.tenants import Tenant
from service.http.wavespeed.envelope import NO_STORE, success
from service.stores.quota_ledger import QuotaLedger
from service.stores.tenant_store import TenantStore

UNLIMITED_BALANCE: Final = 1_000_000
"""What a tenant without a budget that refuses reads as its balance, in dollars: clients stop at zero."""


@dataclass(frozen=True, slots=True)
class WebhookSecretHandler:
    """Answer the tenant's own secret, never the upstream's."""

    tenants: TenantStore

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer WaveSpeed's envelope; the answer must not be kept by anything on the way."""
        return success({"secret": await self.tenants.callback_secret(tenant.id)}, NO_STORE)


@dataclass(frozen=True, slots=True)
class BalanceHandler:
    """Answer what is left of the tenant's own budget; the company's balance is nobody's business here."""

    ledger: QuotaLedger
    tenants: TenantStore
    clock: Callable[[], float]

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer WaveSpeed's envelope; the balance is a number of dollars, never below zero."""
        limits = (await self.tenants.get(tenant.id)).limits
        budget = limits.budget_micros
        balance: float = UNLIMITED_BALANCE
        if budget is not None and "budget" not in limits.shadow:
            ledger = await self.ledger.ledger(tenant.id, window_of(int(self.clock() * 1000)).month)
            balance = max(0, budget - ledger.spent) / MICROS_PER_DOLLAR
        return success({"balance": balance, "currency": "USD"}, NO_STORE)
