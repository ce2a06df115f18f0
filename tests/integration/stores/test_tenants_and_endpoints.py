"""Tenants, their API keys and their endpoints: what must be new is new, what is bounded stays bounded."""

import asyncio

import pytest

from service.domain.api_keys import digest, mint_api_key
from service.domain.endpoints import MAX_ENDPOINTS, Secret
from service.domain.errors import AlreadyExists, NotFound, TooMany
from service.domain.tenants import MAX_API_KEYS, ApiKey, Tenant, TenantState
from service.stores.api_key_store import Owner
from service.stores.commands import Commands
from service.stores.encryption import WrongEncryptionKey
from service.stores.tenant_store import TenantStore
from tests.integration.stores.stack import OTHER_KEY, START_MS, Stack, open_stack


def api_key(number: int, tenant: str = "acme") -> tuple[ApiKey, str]:
    """An issued key and the digest it is stored by."""
    return ApiKey(f"key_{number}", tenant, f"n{number}", START_MS), digest(f"bw_{tenant}{number}")


@pytest.mark.parametrize("allow", [None, "", "10.0.0.0/8,*.svc.cluster.local"])
async def test_a_tenant_comes_back_as_it_was(stack: Stack, allow: str | None) -> None:
    """An absent callback policy stays absent, an empty one stays empty."""
    tenant = Tenant("acme", "Acmé 海", TenantState.SUSPENDED, START_MS, allow)
    await stack.tenants.create(tenant, "whsec_secret")
    assert await stack.tenants.get("acme") == tenant


async def test_a_tenant_is_created_once(stack: Stack) -> None:
    """Of concurrent creations of one id one succeeds; the others change nothing, not even the secret."""
    tenants = [Tenant("acme", f"n{n}", TenantState.ACTIVE, START_MS) for n in range(5)]
    results = await asyncio.gather(
        *(stack.tenants.create(tenant, f"whsec_{tenant.name}") for tenant in tenants), return_exceptions=True
    )
    (created,) = [tenant for tenant, result in zip(tenants, results, strict=True) if result is None]
    assert all(isinstance(result, AlreadyExists) for result in results if result is not None)
    assert await stack.tenants.get("acme") == created
    assert await stack.tenants.callback_secret("acme") == f"whsec_{created.name}"


async def test_tenants_are_listed_by_id(stack: Stack) -> None:
    """The list is complete and in order."""
    for tenant_id in ("b", "a", "c"):
        await stack.add_tenant(tenant_id)
    assert [tenant.id for tenant in await stack.tenants.list()] == ["a", "b", "c"]


async def test_more_tenants_are_listed_than_commands_may_wait(stack: Stack) -> None:
    """Reading all of them at once would be refused, and would crowd out everybody else's commands."""
    ids = [f"team-{number:04}" for number in range(700)]
    await asyncio.gather(*(stack.add_tenant(one) for one in ids))
    commands = Commands(stack.redis, queue=600)
    listed = await TenantStore(commands, stack.scripts, stack.encryption).list()
    await commands.aclose()
    assert [tenant.id for tenant in listed] == ids


async def test_an_unknown_tenant_is_not_found(stack: Stack) -> None:
    """Reading, signing for, or giving a key or an endpoint to a tenant that does not exist fails and writes nothing."""
    with pytest.raises(NotFound):
        await stack.tenants.get("acme")
    with pytest.raises(NotFound):
        await stack.tenants.callback_secret("acme")
    with pytest.raises(NotFound):
        await stack.keys.add(*api_key(1))
    with pytest.raises(NotFound):
        await stack.add_endpoint("ep_1")
    assert await stack.dump() == {}


async def test_the_callback_secret_is_encrypted(acme: Stack, redis_url: str) -> None:
    """Redis holds no secret in clear, and a process with another key cannot read it."""
    await acme.tenants.create(Tenant("b", "b", TenantState.ACTIVE, START_MS), "whsec_canary")
    assert all(b"whsec_canary" not in value for value in (await acme.dump()).values() if value)
    async with open_stack(redis_url, OTHER_KEY) as other:
        with pytest.raises(WrongEncryptionKey) as wrong:
            await other.tenants.callback_secret("b")
    assert "gAAAA" not in str(wrong.value), "the token is not repeated"


async def test_a_key_leads_to_its_tenant_until_it_is_revoked(acme: Stack) -> None:
    """A key is found by its digest alone; revoked, it is gone under both names, and others stay."""
    text = mint_api_key()
    await acme.keys.add(ApiKey("key_1", "acme", "ci", START_MS), digest(text))
    await acme.keys.add(*api_key(2))
    found = await acme.keys.find_owner(digest(text))
    assert found == Owner(await acme.tenants.get("acme"), None)
    assert text not in repr(await acme.dump())
    await acme.keys.revoke("acme", "key_1")
    assert await acme.keys.find_owner(digest(text)) is None
    assert await acme.keys.find_owner(api_key(2)[1]) is not None
    assert await acme.commands("HKEYS", "bw:tenant:acme:keys") == [b"key_2"]


async def test_only_its_tenant_revokes_a_key(acme: Stack) -> None:
    """A key id of another tenant, or an unknown one, is not found and nothing changes."""
    await acme.add_tenant("rival")
    await acme.keys.add(*api_key(1))
    before = await acme.dump()
    for tenant, key in (("rival", "key_1"), ("acme", "key_2")):
        with pytest.raises(NotFound):
            await acme.keys.revoke(tenant, key)
    assert await acme.dump() == before


async def test_the_keys_of_a_tenant_are_bounded(acme: Stack) -> None:
    """Added all at once, exactly as many keys as are allowed get in, and no digest of a refused one stays."""
    added = await asyncio.gather(*(acme.keys.add(*api_key(n)) for n in range(MAX_API_KEYS + 5)), return_exceptions=True)
    refusals = [result for result in added if result is not None]
    assert len(refusals) == 5
    assert all(isinstance(refusal, TooMany) for refusal in refusals)
    assert len(await acme.redis.keys("bw:key:*")) == await acme.commands("HLEN", "bw:tenant:acme:keys") == MAX_API_KEYS


async def test_an_endpoint_comes_back_as_it_was(acme: Stack) -> None:
    """Every field of an endpoint is read as it was written, and only by its tenant."""
    endpoint = await acme.add_endpoint(
        "ep_1",
        "prediction.failed",
        "prediction.completed",
        description="Grüße 海",
        secrets=(Secret("a"), Secret("b", 5)),
        state="disabled",
    )
    assert await acme.endpoints.get("acme", "ep_1") == endpoint
    assert await acme.endpoints.get("rival", "ep_1") is None
    assert await acme.endpoints.get("acme", "ep_2") is None


async def test_an_endpoint_of_a_newer_version_is_read(acme: Stack) -> None:
    """Fields this version does not know do not stop it from reading an endpoint."""
    endpoint = await acme.add_endpoint("ep_1")
    raw = await acme.commands("HGET", "bw:tenant:acme:endpoints", "ep_1")
    assert raw is not None
    await acme.commands("HSET", "bw:tenant:acme:endpoints", "ep_1", b'{"breaker":{"open":true},' + raw[1:])
    assert await acme.endpoints.get("acme", "ep_1") == endpoint


async def test_an_endpoint_of_an_older_version_is_read(acme: Stack) -> None:
    """Its secrets are written plainly there."""
    raw = b'{"id":"ep_1","tenant":"acme","url":"http://h/","events":[],"description":"","created_at_ms":1,"secrets":["a"]}'
    await acme.commands("HSET", "bw:tenant:acme:endpoints", "ep_1", raw)
    endpoint = await acme.endpoints.get("acme", "ep_1")
    assert endpoint is not None
    assert endpoint.secrets == (Secret("a"),)


async def test_endpoints_are_bounded_and_listed_oldest_first(acme: Stack) -> None:
    """Exactly as many endpoints as are allowed get in; the list has them in the order of their ids."""
    ids = [f"ep_{n:03}" for n in range(MAX_ENDPOINTS)]
    for endpoint_id in reversed(ids):
        await acme.add_endpoint(endpoint_id)
    with pytest.raises(TooMany):
        await acme.add_endpoint("ep_more")
    assert [endpoint.id for endpoint in await acme.endpoints.list("acme")] == ids
    assert await acme.endpoints.list("rival") == []
