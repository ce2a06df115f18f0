"""API key → tenant, or 401."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import Unauthenticated
from service.domain.tenants import Tenant
from service.http.access_log import note
from service.usecases.authenticate import Authenticate

Handler = Callable[[Request, Tenant], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def bearer_key(request: Request) -> str:
    """The key of an `Authorization: Bearer` header (RFC 6750). Raises `Unauthenticated` when there is none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("missing API key: send it as 'Authorization: Bearer bw_...'")
    return key.strip()


def authenticated(authenticate: Authenticate, handler: Handler) -> Endpoint:
    """Wrap a handler that wants to know its caller's tenant."""

    async def endpoint(request: Request) -> Response:
        tenant = await authenticate(bearer_key(request))
        note(request.scope, tenant=tenant.id)
        return await handler(request, tenant)

    return endpoint
