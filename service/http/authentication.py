"""API key → tenant, admin token → operator, or 401."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from service.domain.errors import Unauthenticated
from service.domain.tenants import Tenant
from service.http.access_log import note
from service.http.headers import header
from service.usecases.authenticate import Authenticate, AuthenticateOperator

Handler = Callable[[Request, Tenant], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def bearer_key(request: Request, kind: str = "API key: send it as 'Authorization: Bearer bw_...'") -> str:
    """The key of an `Authorization: Bearer` header (RFC 6750). Raises `Unauthenticated` when there is none."""
    scheme, _, key = header(request.scope, b"authorization").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated(f"missing {kind}")
    return key.strip()


def operators_only(authenticate: AuthenticateOperator, handler: Endpoint) -> Endpoint:
    """Wrap a handler that only an operator may call."""

    async def endpoint(request: Request) -> Response:
        authenticate(bearer_key(request, "admin token: send it as 'Authorization: Bearer ...'"))
        return await handler(request)

    return endpoint


def authenticated(authenticate: Authenticate, handler: Handler) -> Endpoint:
    """Wrap a handler that wants to know its caller's tenant."""

    async def endpoint(request: Request) -> Response:
        tenant = await authenticate(bearer_key(request))
        note(request.scope, tenant=tenant.id)
        return await handler(request, tenant)

    return endpoint
