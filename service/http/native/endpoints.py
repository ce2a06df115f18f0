"""`/v1/endpoints`: the callback URLs a tenant has registered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.callback_url import MAX_URL
from service.domain.endpoints import MAX_DESCRIPTION, MESSAGE_TYPES, OVERLAP_MS, DisabledBy, Endpoint
from service.domain.errors import NotFound
from service.domain.tenants import Tenant
from service.domain.timestamps import rfc3339, rfc3339_or_none
from service.http.bodies import read_model
from service.http.native.deliveries import AttemptShown
from service.http.queries import moment_ms
from service.stores.endpoint_store import EndpointStore
from service.stores.lane_health import Health, LaneHealth
from service.usecases.change_endpoint import ChangeEndpoint, EndpointChanges
from service.usecases.register_endpoint import RegisterEndpoint
from service.usecases.resend import Resend
from service.usecases.try_endpoint import TryEndpoint

MAX_EVENTS = 20
"""Most event types an endpoint can name."""


CallbackUrl = Annotated[str, Field(json_schema_extra={"format": "uri"})]
EventName = Annotated[str, Field(json_schema_extra={"enum": list(MESSAGE_TYPES)})]
"""Described here, judged by the use cases: what they refuse is a 422 that says which rule decided."""


class NewEndpoint(BaseModel):
    """Body of `POST /v1/endpoints`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: CallbackUrl = Field(min_length=1, max_length=MAX_URL, description="Where events are sent.")
    events: list[EventName] = Field(
        default_factory=list, max_length=MAX_EVENTS, description="Event types wanted; none means every type."
    )
    description: str = Field("", max_length=MAX_DESCRIPTION, description="A note for humans.")


class ChangedEndpoint(BaseModel):
    """Body of `PATCH /v1/endpoints/{id}`: what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: CallbackUrl | None = Field(None, min_length=1, max_length=MAX_URL, description="Where events are sent.")
    events: list[EventName] | None = Field(
        None, max_length=MAX_EVENTS, description="Event types wanted; none means every type."
    )
    description: str | None = Field(None, max_length=MAX_DESCRIPTION, description="A note for humans.")
    state: Literal["enabled", "disabled"] | None = Field(
        None, description="A disabled endpoint is sent nothing; what waited for it can be recovered later."
    )


class EndpointShown(BaseModel):
    """An endpoint as answers show it."""

    id: str
    url: str
    events: list[str]
    description: str
    state: Literal["enabled", "disabled"]
    disabled_by: DisabledBy | None = Field(
        description="Who or what disabled it: its `team`, an `operator`, a 410 (`gone`), days of failures (`failing`)."
    )
    disabled_at: str | None
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
            disabled_by=endpoint.disabled_by or None,
            disabled_at=rfc3339_or_none(endpoint.disabled_at_ms),
            created_at=rfc3339(endpoint.created_at_ms),
        )


class HealthShown(BaseModel):
    """How an endpoint's receiver has been doing."""

    breaker: Literal["closed", "open", "half_open"] = Field(
        description="`open`: nobody was there, nothing is sent until `retry_at`; `half_open`: one delivery tries."
    )
    retry_at: str | None
    delivered: int = Field(description="Attempts that were answered with 2xx, lately.")
    failed: int = Field(description="Attempts that were not, lately.")
    last_success_at: str | None
    last_failure_at: str | None
    last_failure: str | None = Field(description="What went wrong then, in words.")
    failing_since: str | None = Field(description="Since when there has been nothing but failure.")
    pending: int = Field(description="Deliveries that wait or are under way.")
    dead: int = Field(description="Deliveries that were given up.")

    @classmethod
    def of(cls, health: Health) -> "HealthShown":
        """Show a receiver's health."""
        return cls(
            breaker=health.breaker,
            retry_at=rfc3339_or_none(health.open_until_ms),
            delivered=health.delivered,
            failed=health.failed,
            last_success_at=rfc3339_or_none(health.well_at_ms),
            last_failure_at=rfc3339_or_none(health.failed_at_ms),
            last_failure=health.failure or None,
            failing_since=rfc3339_or_none(health.failing_since_ms),
            pending=health.pending,
            dead=health.dead,
        )


class EndpointDetails(EndpointShown):
    """One endpoint with its health."""

    health: HealthShown


class EndpointCreated(EndpointShown):
    """The answer to a creation: the only time the secret is shown."""

    secret: str = Field(description="Signs what is sent here (Standard Webhooks). Shown once.")


class SecretRotated(BaseModel):
    """The answer to a rotation: the only time the new secret is shown."""

    secret: str = Field(description="Signs what is sent here from now on, first of all. Shown once.")
    previous_until: str = Field(description="Until then the secret before it signs as well.")


class EndpointList(BaseModel):
    """Every endpoint of a tenant."""

    data: list[EndpointShown]


class Tried(BaseModel):
    """What came of a test."""

    delivery_id: str
    state: Literal["pending", "delivered", "dead"] = Field(
        description="`pending`: no worker has sent it yet; `dead`: it failed, and is not tried again."
    )
    attempt: AttemptShown | None


class Recovered(BaseModel):
    """How many deliveries are sent again."""

    recovered: int


@dataclass(frozen=True, slots=True)
class EndpointHandlers:
    """Everything a team does with its endpoints. What is unknown or another tenant's is a 404."""

    register: RegisterEndpoint
    change: ChangeEndpoint
    try_out: TryEndpoint
    resend: Resend
    endpoints: EndpointStore
    health: LaneHealth
    clock: Callable[[], float]
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
        return _json(EndpointList(data=shown))

    async def get(self, request: Request, tenant: Tenant) -> Response:
        """Answer one, with its health."""
        endpoint = await self.endpoints.get(tenant.id, request.path_params["id"])
        if endpoint is None:
            raise NotFound("endpoint not found")
        return _json(await self._details(endpoint))

    async def update(self, request: Request, tenant: Tenant) -> Response:
        """Answer the endpoint as it is from now on."""
        wanted = await read_model(request, ChangedEndpoint, self.max_body_bytes)
        changes = EndpointChanges(
            wanted.url, wanted.events, wanted.description, None if wanted.state is None else wanted.state == "enabled"
        )
        return _json(await self._details(await self.change.update(tenant, request.path_params["id"], changes)))

    async def delete(self, request: Request, tenant: Tenant) -> Response:
        """Answer 204."""
        await self.change.delete(tenant.id, request.path_params["id"])
        return Response(status_code=204)

    async def rotate_secret(self, request: Request, tenant: Tenant) -> Response:
        """Answer the new secret."""
        _, secret = await self.change.rotate_secret(tenant.id, request.path_params["id"])
        until_ms = int(self.clock() * 1000) + OVERLAP_MS
        return _json(SecretRotated(secret=secret, previous_until=rfc3339(until_ms)))

    async def test(self, request: Request, tenant: Tenant) -> Response:
        """Answer what came of a test message."""
        trial = await self.try_out(tenant.id, request.path_params["id"])
        attempt = AttemptShown(**trial.attempt) if trial.attempt else None
        return _json(Tried(delivery_id=trial.delivery.id, state=trial.delivery.state, attempt=attempt))

    async def recover(self, request: Request, tenant: Tenant) -> Response:
        """Answer how many deliveries that had failed since `?since=` are sent again."""
        since_ms = moment_ms(request, "since")
        return _json(Recovered(recovered=await self.resend.recover(tenant.id, request.path_params["id"], since_ms)))

    async def _details(self, endpoint: Endpoint) -> EndpointDetails:
        """An endpoint with its health."""
        health = HealthShown.of(await self.health.of(endpoint.id, int(self.clock() * 1000)))
        return EndpointDetails(**EndpointShown.of(endpoint).model_dump(), health=health)


def _json(shown: BaseModel) -> Response:
    """An answer in JSON."""
    return Response(shown.model_dump_json(), media_type="application/json")
