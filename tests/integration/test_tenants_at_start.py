"""A gateway with a tenants file: applied before the first request, whenever Redis comes; a bad file stops the start."""

import asyncio
from pathlib import Path

import pytest

from service.app import create_app
from service.domain.api_keys import digest, mint_api_key
from service.resources import open_resources, read_tenants
from service.settings import BadSetting, Settings
from tests.fault_proxy import FaultProxy
from tests.integration.http.gateway import settings
from tests.waiting import wait_until


def with_file(redis_url: str, file: Path, text: str) -> Settings:
    """Settings of a gateway that has this tenants file."""
    file.write_text(text)
    return settings(redis_url, "http://127.0.0.1:9", tenants_file=file)


async def test_the_file_is_applied_before_the_gateway_is_ready(redis_proxy: FaultProxy, tmp_path: Path) -> None:
    """Also when Redis comes late; then its tenants and keys are there from the first request on."""
    key = mint_api_key()
    text = f'[tenants.acme]\nlimits = {{ daily = 5 }}\nkeys = {{ ci = "sha256:{digest(key)}" }}\n'
    configuration = with_file(redis_proxy.url, tmp_path / "tenants.toml", text)
    redis_proxy.refuse()
    async with open_resources(configuration) as resources:
        app = create_app(resources, tenants=read_tenants(configuration))
        async with app.router.lifespan_context(app):
            assert not resources.redis_state.ready
            await redis_proxy.listen()
            await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
            tenant = await resources.authenticate(key)
            assert (tenant.id, tenant.limits.daily, tenant.managed) == ("acme", 5, frozenset({"name", "limits.daily"}))


async def test_gateways_that_start_together_apply_it_once(redis_url: str, tmp_path: Path) -> None:
    """However many replicas: one tenant, one key, and none of them fails."""
    key = mint_api_key()
    text = f'[tenants.acme]\nkeys = {{ ci = "sha256:{digest(key)}" }}\n'
    configuration = with_file(redis_url, tmp_path / "tenants.toml", text)

    async def replica() -> None:
        async with open_resources(configuration) as resources:
            app = create_app(resources, tenants=read_tenants(configuration))
            async with app.router.lifespan_context(app):
                await wait_until(lambda: resources.redis_state.ready, what="the gateway is ready")
                assert (await resources.authenticate(key)).id == "acme"

    await asyncio.gather(*(replica() for _ in range(4)))
    async with open_resources(configuration) as resources:
        assert [tenant.id for tenant in await resources.tenants.list()] == ["acme"]
        assert len(await resources.keys.list("acme")) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[tenants.acme]\nlimits = { daily = -1 }", "tenants.acme.limits.daily"),
        ('[tenants.acme]\ncallback_allow = ["169.254.0.0/16"]', "tenants.acme.callback_allow"),
        ("nonsense", "not TOML"),
    ],
)
def test_a_bad_file_stops_the_start(tmp_path: Path, text: str, named: str) -> None:
    """With one line that names the variable, the tenant and the field."""
    with pytest.raises(BadSetting) as refused:
        read_tenants(with_file("redis://127.0.0.1:9", tmp_path / "tenants.toml", text))
    assert str(refused.value).startswith("BREAKWATER_TENANTS_FILE: ")
    assert named in str(refused.value)


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    """It was meant to be there."""
    with pytest.raises(BadSetting, match="BREAKWATER_TENANTS_FILE: "):
        read_tenants(settings("redis://127.0.0.1:9", "http://127.0.0.1:9", tenants_file=tmp_path / "none.toml"))
