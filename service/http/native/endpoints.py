"""`/v1/endpoints`: the callback URLs a tenant has registered."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.endpoints import MAX_DESCRIPTION, Endpoint
from service.domain.predictions import rfc3339
from service.domain.tenants import Tenant
from service.http.bodies import read_model
from service.stores.endpoint_store import EndpointStore
from service.usecases.register_endpoint import RegisterEndpoint


class NewEndpoint(BaseModel):
    """Body of `POST /v1/endpoints`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(min_length=1, max_length=2048, description="Where events are sent.")
    events: list[str] = Field(
        default_factory=list, max_length=20, description="Event types wanted; none means every type."
    )
    description: str = Field("", max_length=MAX_DESCRIPTION, description="A note for humans.")


class EndpointShown(BaseModel):
    """An endpoint as answers show it."""

    id: str
    url: str
    events: list[str]
    description: str
    state: str
    created_at: str

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointShown":
        """Show an endpoint, without its secrets."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=list(endpoint.events),
            description=endpoint.description,
            state=endpoint.state,
            created_at=rfc3339(endpoint.created_at_ms),
        )


class EndpointCreated(EndpointShown):
    """The answer to a creation: the only time the secret is shown."""

    secret: str = Field(description="Signs what is sent here (Standard Webhooks). Shown once.")


class EndpointList(BaseModel):
    """Every endpoint of a tenant."""

    data: list[EndpointShown]


@dataclass(frozen=True, slots=True)
class EndpointHandlers:
    """Create and list."""

    register: RegisterEndpoint
    endpoints: EndpointStore
    max_body_bytes: int

    async def create(self, request: Request, tenant: Tenant) -> Response:
        """Answer 201 with the endpoint and its secret."""
        wanted = await read_model(request, NewEndpoint, self.max_body_bytes)
        endpoint, secret = await self.register(tenant, wanted.url, wanted.events, wanted.description)
        shown = EndpointCreated(**EndpointShown.of(endpoint).model_dump(), secret=secret)
        return Response(shown.model_dump_json(), 201, {"location": f"/v1/endpoints/{endpoint.id}"}, "application/json")

    async def list(self, request: Request, tenant: Tenant) -> Response:
        """Answer every endpoint of the tenant, without secrets."""
        shown = [EndpointShown.of(endpoint) for endpoint in await self.endpoints.list(tenant.id)]
        return Response(EndpointList(data=shown).model_dump_json(), media_type="application/json")
