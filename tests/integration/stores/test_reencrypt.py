"""Changing the encryption key: everything goes under the new one, and the old one can go."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from redis import Redis

from service.resources import Resources, open_resources
from service.stores.encryption import WrongEncryptionKey
from service.stores.upstream_secrets import UpstreamSecrets, UpstreamSecretStore
from service.usecases.reencrypt import Reencrypted
from tests.integration.cli_calls import invoke, printed, set_up
from tests.integration.stores.stack import process_settings

OLD, NEW, LOST = (urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n", b"l"))


@asynccontextmanager
async def process(redis_url: str, *encryption_keys: str) -> AsyncIterator[Resources]:
    """A process with these keys, that has been let in."""
    secrets = tuple(SecretStr(key) for key in encryption_keys)
    async with open_resources(process_settings(redis_url, encryption_key=secrets)) as resources:
        await resources.encryption.check_canary(resources.commands)
        yield resources


async def written(resources: Resources) -> tuple[str, str, str]:
    """A tenant with an endpoint that was rotated once, and a secret of the upstream; all three secrets of a tenant."""
    tenant = await resources.administer.create_tenant("acme")
    endpoint, first = await resources.register_endpoint(tenant, "http://127.0.0.1:9/hook", [])
    _, second = await resources.change_endpoint.rotate_secret("acme", endpoint.id)
    upstream = UpstreamSecretStore(resources.commands, resources.encryption)
    await upstream.save(UpstreamSecrets("whsec_now", "whsec_then", 1))
    return await resources.tenants.callback_secret("acme"), second, first


async def readable(resources: Resources) -> tuple[str, ...]:
    """The same three, as this process reads them."""
    (endpoint,) = await resources.endpoints.list("acme")
    own = [resources.encryption.decrypt(secret.encrypted) for secret in endpoint.secrets]
    upstream = await UpstreamSecretStore(resources.commands, resources.encryption).load()
    assert (upstream.current, upstream.previous) == ("whsec_now", "whsec_then")
    return await resources.tenants.callback_secret("acme"), *own


async def test_the_old_key_can_go_afterwards(redis_url: str) -> None:
    """Old alone, then both, then new alone: at every step everything is read, and nobody is locked out."""
    async with process(redis_url, OLD) as resources:
        secrets = await written(resources)
    with pytest.raises(WrongEncryptionKey):
        async with process(redis_url, NEW):
            pass
    async with process(redis_url, NEW, OLD) as resources:
        assert await readable(resources) == secrets
        assert await resources.reencrypt() == Reencrypted(done=5)
        assert await resources.reencrypt() == Reencrypted(done=5), "it can be repeated"
    async with process(redis_url, NEW) as resources:
        assert await readable(resources) == secrets
    with pytest.raises(WrongEncryptionKey):
        async with process(redis_url, OLD):
            pass


async def test_what_no_key_reads_stays_and_is_counted(redis_url: str) -> None:
    """The rest is done all the same."""
    async with process(redis_url, LOST) as resources:
        await written(resources)
        tenant = await resources.tenants.get("acme")
        await resources.commands("DEL", "bw:canary")
    async with process(redis_url, OLD) as resources:
        await resources.register_endpoint(tenant, "http://127.0.0.1:9/other", [])
    async with process(redis_url, NEW, OLD) as resources:
        assert await resources.reencrypt() == Reencrypted(done=1, unreadable=5)


@pytest.mark.parametrize("lost", [False, True])
def test_the_command_says_what_comes_next(redis_url: str, monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    """And fails when something is left that no key reads."""
    set_up(monkeypatch, redis_url)
    printed("tenant", "create", "acme")
    if not lost:
        assert printed("secrets", "reencrypt") == {"done": 1, "unreadable": 0}
        assert "Next: " in invoke("secrets", "reencrypt").output
        return
    printed("endpoint", "create", "acme", "http://127.0.0.1:9/hook")
    with Redis.from_url(redis_url) as client:
        client.hset("bw:tenant:acme", "callback_secret", "not a token")
    result = invoke("secrets", "reencrypt")
    assert result.exit_code == 1
    assert "rotate" in result.output
