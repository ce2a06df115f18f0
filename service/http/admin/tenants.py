"""`/admin/v1/tenants`: tenants and their keys, for operators."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.api_keys import digest
from service.domain.errors import FieldError, InvalidInput
from service.domain.tenant_spec import TenantSpec, read_spec
from service.domain.tenants import PRINTABLE, ApiKey, Tenant
from service.domain.timestamps import rfc3339
from service.domain.whole_numbers import WHOLE
from service.http.bodies import read_json_object, read_model
from service.usecases.administer import Administer


class TenantShown(TenantSpec):
    """A tenant as answers show it."""

    id: str
    state: str = Field(description="`active` or `suspended`.")
    managed: list[str] = Field(description="Fields that the tenants file sets.")
    created_at: str

    @classmethod
    def show(cls, tenant: Tenant) -> "TenantShown":
        """Show a tenant."""
        return cls(
            **TenantSpec.of(tenant).model_dump(),
            id=tenant.id,
            state=tenant.state.value,
            managed=sorted(tenant.managed),
            created_at=rfc3339(tenant.created_at_ms),
        )


class TenantList(BaseModel):
    """Every tenant."""

    data: list[TenantShown]


class NewKey(BaseModel):
    """Body of `POST /admin/v1/tenants/{tenant}/keys`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(
        min_length=1,
        max_length=100,
        description="A name to tell keys apart.",
        json_schema_extra={"format": PRINTABLE},
    )
    expires_in_days: Annotated[int, Field(ge=1, le=3650), WHOLE] | None = Field(
        None, description="Days until it expires; never when left out."
    )


class KeyShown(BaseModel):
    """A key as answers show it, without the key itself."""

    id: str
    name: str
    created_at: str
    last_used_at: str | None = Field(description="To the minute.")
    expires_at: str | None

    @classmethod
    def show(cls, key: ApiKey) -> "KeyShown":
        """Show a key."""
        return cls(
            id=key.id,
            name=key.name,
            created_at=rfc3339(key.created_at_ms),
            last_used_at=None if key.last_used_at_ms is None else rfc3339(key.last_used_at_ms),
            expires_at=None if key.expires_at_ms is None else rfc3339(key.expires_at_ms),
        )


class KeyCreated(KeyShown):
    """The answer to a creation: the only time the key is shown."""

    key: str = Field(description="The key, shown once.")
    sha256: str = Field(description="What a tenants file lists it by.")


class KeyList(BaseModel):
    """Every key of a tenant."""

    data: list[KeyShown]


def _answer(shown: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(shown.model_dump_json(), status, headers, "application/json")


@dataclass(frozen=True, slots=True)
class TenantHandlers:
    """Every handler takes the request alone: who calls was settled before."""

    administer: Administer
    max_body_bytes: int

    async def list(self, request: Request) -> Response:
        """Answer every tenant, by id."""
        tenants = await self.administer.tenants.list()
        return _answer(TenantList(data=[TenantShown.show(tenant) for tenant in tenants]))

    async def get(self, request: Request) -> Response:
        """Answer one tenant."""
        return _answer(TenantShown.show(await self.administer.tenants.get(request.path_params["tenant"])))

    async def put(self, request: Request) -> Response:
        """Make it what the body says: 201 for a new one; 409 for fields a file manages, unless `?force=true`."""
        values: dict[str, Any] = await read_json_object(request, self.max_body_bytes)
        force = _flag(request, "force")
        tenant, new = await self.administer.put_tenant(request.path_params["tenant"], read_spec(values), force=force)
        return _answer(TenantShown.show(tenant), 201 if new else 200)

    async def delete(self, request: Request) -> Response:
        """Forget the tenant: 204, or 409 while predictions of its go on."""
        await self.administer.delete_tenant(request.path_params["tenant"])
        return Response(status_code=204)

    async def suspend(self, request: Request) -> Response:
        """Refuse its submissions from now on."""
        return _answer(TenantShown.show(await self.administer.set_suspended(request.path_params["tenant"], True)))

    async def resume(self, request: Request) -> Response:
        """Let it submit again."""
        return _answer(TenantShown.show(await self.administer.set_suspended(request.path_params["tenant"], False)))

    async def list_keys(self, request: Request) -> Response:
        """Answer its keys, oldest first."""
        keys = await self.administer.list_keys(request.path_params["tenant"])
        return _answer(KeyList(data=[KeyShown.show(key) for key in keys]))

    async def create_key(self, request: Request) -> Response:
        """Issue a key: 201, and the key this once."""
        wanted = await read_model(request, NewKey, self.max_body_bytes)
        expires_in_s = None if wanted.expires_in_days is None else wanted.expires_in_days * 86_400.0
        key, text = await self.administer.create_key(request.path_params["tenant"], wanted.name, expires_in_s)
        shown = KeyCreated(**KeyShown.show(key).model_dump(), key=text, sha256=f"sha256:{digest(text)}")
        return _answer(shown, 201, {"cache-control": "no-store"})

    async def revoke_key(self, request: Request) -> Response:
        """Revoke a key: 204; it stops working everywhere within 5 seconds."""
        await self.administer.revoke_key(request.path_params["tenant"], request.path_params["key"])
        return Response(status_code=204)


def _flag(request: Request, name: str) -> bool:
    """A query parameter that is true or false."""
    value = request.query_params.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidInput([FieldError(name, "must be true or false")])
    return value == "true"
