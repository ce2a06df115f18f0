"""Fills a Redis: `python -m benchmarks.populate REDIS_URL stored COUNT`, or `... tenants COUNT OUTPUT`.

`stored` makes so many completed predictions of the tenant `bench`, through the same code as they are made in service.
`tenants` makes so many tenants with a key each, and writes the keys to OUTPUT, one a line.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

from benchmarks.ground import AT_ONCE, many_ended, resources_settings, tenant_with
from service.logs import configure_logging
from service.resources import open_resources


async def stored(redis_url: str, count: int) -> None:
    """Make predictions."""
    async with open_resources(resources_settings(redis_url)) as resources:
        await many_ended(resources, "bench", count)


async def tenants(redis_url: str, count: int) -> list[str]:
    """Make tenants; their keys."""
    keys: list[str] = []
    async with open_resources(resources_settings(redis_url)) as resources:
        for start in range(0, count, AT_ONCE):
            batch = range(start, min(count, start + AT_ONCE))
            keys += await asyncio.gather(*(tenant_with(resources, f"team-{number}") for number in batch))
    return keys


if __name__ == "__main__":
    configure_logging("warning", "bench")
    if sys.argv[2] == "stored":
        uvloop.run(stored(sys.argv[1], int(sys.argv[3])))
    else:
        Path(sys.argv[4]).write_text("\n".join(uvloop.run(tenants(sys.argv[1], int(sys.argv[3])))))
