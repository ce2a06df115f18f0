"""The check that every test on Redis ends with."""

from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from tests.conftest import immortal_keys


async def test_keys_without_lifetime_are_named(redis: Redis, redis_url: str) -> None:
    """A key must carry a lifetime or stand on the permanent list; any other is named."""
    await redis.set("mortal", 1, ex=60)
    await redis.set("bw:tenants", "on the list")
    await redis.set("immortal", 1)
    await redis.set("immortal-too", 1)
    with BlockingRedis.from_url(redis_url) as client:
        assert immortal_keys(client) == ["immortal", "immortal-too"]
    await redis.delete("immortal", "immortal-too")


async def test_every_test_finds_the_database_empty(redis: Redis) -> None:
    """What another test left, on the permanent list or with time to live, is gone."""
    assert await redis.dbsize() == 0
