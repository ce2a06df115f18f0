"""Keys at the gateway: what a cached answer costs, how unknown keys are bounded, when keys stop working."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from service.domain.api_keys import digest, mint_api_key
from service.domain.errors import Overloaded, Unauthenticated
from service.domain.tenants import ApiKey, Tenant
from service.usecases.authenticate import CACHE_ENTRIES, CACHE_S, LOOK_UPS_PER_S, Authenticate, AuthenticateOperator
from tests.integration.stores.stack import START_MS, Stack, open_stack


@dataclass(frozen=True, slots=True)
class Door:
    """Authentication as one process does it, over the tenant `acme` and its keys."""

    stack: Stack
    authenticate: Authenticate

    async def add_key(self, name: str = "ci", expires_in_s: float | None = None) -> str:
        """Give `acme` a key; its text."""
        text = mint_api_key()
        expires_at_ms = None if expires_in_s is None else START_MS + round(expires_in_s * 1000)
        await self.stack.keys.add(
            ApiKey(f"key_{name}", "acme", name, START_MS, expires_at_ms=expires_at_ms), digest(text)
        )
        return text

    async def refusal(self, key: str) -> type[Exception] | None:
        """How a key is refused, None when it is let in."""
        try:
            tenant: Tenant = await self.authenticate(key)
        except (Unauthenticated, Overloaded) as refused:
            return type(refused)
        assert tenant.id == "acme"
        return None

    async def look_ups(self) -> int:
        """How many scripts the server has run since the last time this was asked."""
        stats = await self.stack.redis.info("commandstats")
        await self.stack.redis.config_resetstat()
        return sum(int(stats[name]["calls"]) for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)

    def counted(self, result: str) -> float:
        """How often authentication came to `result`."""
        return self.stack.sample("breakwater_authentications_total", result=result)


@pytest.fixture
async def door(redis_url: str) -> AsyncIterator[Door]:
    """An empty cache, on a clock that the test moves."""
    async with open_stack(redis_url) as stack:
        await stack.add_tenant()
        door = Door(stack, Authenticate(stack.keys, stack.metrics, stack.clock.s))
        await door.authenticate(await door.add_key("warm"))  # from here on the server knows the script
        door.authenticate.cache.clear()
        stack.clock.advance(1)
        await door.look_ups()
        yield door


async def test_a_cached_answer_costs_nothing(door: Door) -> None:
    """One look at Redis, and for the rest of five seconds not a single command, however many requests."""
    key = await door.add_key()
    assert await door.refusal(key) is None
    sent = door.stack.commands.batches_sent
    for _ in range(50):
        door.stack.clock.advance(CACHE_S / 50 - 0.001)
        await asyncio.gather(*(door.authenticate(key) for _ in range(10)))
    assert door.stack.commands.batches_sent == sent
    door.stack.clock.advance(0.051)
    assert await door.refusal(key) is None
    assert door.stack.commands.batches_sent == sent + 1


async def test_a_key_whose_checksum_is_wrong_never_reaches_redis(door: Door) -> None:
    """Nor does one of another form; and none of them is remembered."""
    key = await door.add_key()
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    sent = door.stack.commands.batches_sent
    for made_up in (wrong, "", "bw_", key[3:], key + "a", "sk-" + key, "bw_" + "0" * 32, "bw_" + "é" * 32):
        assert await door.refusal(made_up) is Unauthenticated
    assert door.stack.commands.batches_sent == sent
    assert door.authenticate.cache == {}
    assert door.counted("malformed") == 8


async def test_unknown_keys_are_bounded_each_second(door: Door) -> None:
    """Past the bound they are refused unseen, and told to come back; the next second has a bound of its own."""
    for _ in range(3):
        refusals = [await door.refusal(mint_api_key()) for _ in range(LOOK_UPS_PER_S + 50)]
        assert refusals == [Unauthenticated] * LOOK_UPS_PER_S + [Overloaded] * 50
        assert await door.look_ups() == LOOK_UPS_PER_S
        door.stack.clock.advance(1)
    assert (door.counted("unknown"), door.counted("bounded")) == (3 * LOOK_UPS_PER_S, 150)


async def test_a_known_key_is_let_in_while_unknown_ones_are_refused(door: Door) -> None:
    """Its cached answer, and the look that renews it, do not depend on what others try."""
    key = await door.add_key()
    assert await door.refusal(key) is None
    for _ in range(7):
        door.stack.clock.advance(1)
        flood = [door.refusal(mint_api_key()) for _ in range(2 * LOOK_UPS_PER_S)]
        assert Overloaded in await asyncio.gather(*flood)
        assert await door.refusal(key) is None
    assert door.counted("known") == 9


async def test_a_loop_on_a_revoked_key_costs_one_look_in_five_seconds(door: Door) -> None:
    """500 requests a second for 20 seconds are four looks, and every one of them is refused as unauthenticated."""
    key = await door.add_key()
    assert await door.refusal(key) is None
    await door.stack.keys.revoke("acme", "key_ci")
    door.stack.clock.advance(CACHE_S)
    await door.look_ups()
    for _ in range(20 * 500):
        assert await door.refusal(key) is Unauthenticated
        door.stack.clock.advance(0.002)
    assert await door.look_ups() == 4
    assert door.counted("bounded") == 0


async def test_a_burst_on_a_revoked_key_leaves_room_for_others(door: Door) -> None:
    """Many requests at once with one key nobody knows are one look: a new key is let in that very second."""
    revoked, new = mint_api_key(), await door.add_key()
    await door.look_ups()
    refusals = await asyncio.gather(*(door.refusal(revoked) for _ in range(5 * LOOK_UPS_PER_S)))
    assert set(refusals) == {Unauthenticated}
    assert await door.look_ups() == 1
    assert await door.refusal(new) is None


async def test_a_burst_on_a_new_key_is_let_in(door: Door) -> None:
    """A gateway that has just started knows no key: many requests at once with a good one are all let in."""
    key = await door.add_key()
    assert set(await asyncio.gather(*(door.refusal(key) for _ in range(5 * LOOK_UPS_PER_S)))) == {None}


async def test_a_revoked_key_stops_within_five_seconds(door: Door) -> None:
    """It may work until its cached answer ends, and not a moment longer."""
    key = await door.add_key()
    assert await door.refusal(key) is None
    door.stack.clock.advance(1)
    await door.stack.keys.revoke("acme", "key_ci")
    door.stack.clock.advance(CACHE_S - 1.001)
    assert await door.refusal(key) is None
    door.stack.clock.advance(0.001)
    assert await door.refusal(key) is Unauthenticated


async def test_a_new_key_works_within_five_seconds(door: Door) -> None:
    """Also when it was tried before it was stored."""
    key = mint_api_key()
    assert await door.refusal(key) is Unauthenticated
    await door.stack.keys.add(ApiKey("key_new", "acme", "new", START_MS), digest(key))
    assert await door.refusal(key) is Unauthenticated
    door.stack.clock.advance(CACHE_S)
    assert await door.refusal(key) is None


@pytest.mark.parametrize("lives_s", [2.0, 5.0, 7.5])
async def test_a_key_expires_on_time(door: Door, lives_s: float) -> None:
    """No cached answer outlives its key, whether asked all the time or never before."""
    born_s = door.stack.clock.s() - START_MS / 1000
    key = await door.add_key(expires_in_s=born_s + lives_s)
    for _ in range(round(lives_s * 10)):
        assert await door.refusal(key) is None
        door.stack.clock.advance(0.1)
    assert await door.refusal(key) is Unauthenticated
    unseen = await door.add_key("unseen", expires_in_s=1.0)
    assert await door.refusal(unseen) is Unauthenticated


async def test_the_last_use_is_known_to_the_minute(door: Door) -> None:
    """Written with the look that finds the tenant, once a minute at most."""
    key = await door.add_key()

    async def last_used() -> int | None:
        [found] = [each for each in await door.stack.keys.list("acme") if each.id == "key_ci"]
        return found.last_used_at_ms

    assert await last_used() is None
    first = door.stack.clock.ms()
    assert await door.refusal(key) is None
    assert await last_used() == first
    door.stack.clock.advance(59.9)
    assert await door.refusal(key) is None
    assert await last_used() == first
    door.stack.clock.advance(CACHE_S)
    assert await door.refusal(key) is None
    assert await last_used() == door.stack.clock.ms()


async def test_the_cache_is_bounded(door: Door) -> None:
    """The oldest answers leave first, and no text of a key is kept."""
    key = await door.add_key()
    for _ in range(CACHE_ENTRIES // LOOK_UPS_PER_S + 1):
        door.stack.clock.advance(1)
        await asyncio.gather(*(door.refusal(mint_api_key()) for _ in range(LOOK_UPS_PER_S)))
    assert len(door.authenticate.cache) == CACHE_ENTRIES
    door.stack.clock.advance(1)
    assert await door.refusal(key) is None
    assert len(door.authenticate.cache) == CACHE_ENTRIES
    assert not [name for name in door.authenticate.cache if name.startswith("bw_")]


async def test_a_deleted_tenant_s_keys_are_unknown(door: Door, redis: Redis) -> None:
    """All at once, within the cache's seconds."""
    key = await door.add_key()
    assert await door.refusal(key) is None
    await door.stack.tenants.delete("acme")
    door.stack.clock.advance(CACHE_S)
    assert await door.refusal(key) is Unauthenticated
    assert [name async for name in redis.scan_iter("bw:key:*")] == []


@pytest.mark.parametrize(
    "given", ["", "operators-only-1234", "operators-only-123456", "OPERATORS-ONLY-12345", "é", "\x00"]
)
def test_only_the_admin_token_is_an_operator(given: str) -> None:
    """Neither a shorter, a longer, a similar nor an empty one."""
    operator = AuthenticateOperator("operators-only-12345")
    operator("operators-only-12345")
    with pytest.raises(Unauthenticated):
        operator(given)
    assert "operators" not in repr(operator)


@pytest.mark.parametrize("given", ["", "x"])
def test_without_a_token_nobody_is_an_operator(given: str) -> None:
    """Not even who sends none."""
    with pytest.raises(Unauthenticated):
        AuthenticateOperator("")(given)
