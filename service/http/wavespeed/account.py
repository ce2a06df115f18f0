"""`GET /api/v3/webhook/secret`: what a tenant verifies its per-request callbacks with."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from service.domain.predictions import json_bytes
from service.domain.tenants import Tenant
from service.stores.tenant_store import TenantStore


@dataclass(frozen=True, slots=True)
class WebhookSecretHandler:
    """Answer the tenant's own secret, never the upstream's."""

    tenants: TenantStore

    async def __call__(self, request: Request, tenant: Tenant) -> Response:
        """Answer WaveSpeed's envelope; the answer must not be kept by anything on the way."""
        body = {"code": 200, "message": "success", "data": {"secret": await self.tenants.callback_secret(tenant.id)}}
        return Response(json_bytes(body), headers={"cache-control": "no-store"}, media_type="application/json")
