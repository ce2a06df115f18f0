"""Limits under a hammer: hundreds of submissions at once, over two gateways, and not one too many."""

import asyncio
from collections import Counter
from typing import Any, Final

import httpx2
import pytest
from httpx_aiohttp.httpx2 import Httpx2AiohttpClient

from service.domain.limits import window_of
from service.domain.tenant_spec import read_spec
from tests.journeys.system import System, free_port

SUBMISSIONS: Final = 500
ALLOWED: Final = 50

KINDS: Final[dict[str, tuple[dict[str, Any], int]]] = {
    # A rate that gives nothing back while the hammer falls; $0.40 a video.
    "rate": ({"rate_per_minute": 1, "burst": ALLOWED}, 429),
    "concurrency": ({"concurrency": ALLOWED}, 429),
    "daily": ({"daily": ALLOWED}, 429),
    "monthly": ({"monthly": ALLOWED}, 429),
    "budget": ({"budget_usd": "20.00"}, 402),
}
"""Each kind of limit with room for `ALLOWED`, and the status of what is too many."""


@pytest.mark.timeout(120)
async def test_exactly_as_many_as_allowed_get_in(system: System) -> None:
    """500 submissions at once over two gateways, against room for 50 of each kind of limit: 50 get in, and are paid."""
    other_port = free_port()
    await asyncio.gather(system.start_simulator("--video-s", "600"), system.start_gateway())
    await system.start_another_gateway(other_port)
    bases = (system.gateway_url, f"http://127.0.0.1:{other_port}")
    limits = httpx2.Limits(max_connections=SUBMISSIONS)
    async with system.resources() as inside:
        for count, (kind, (allowed, refusal)) in enumerate(KINDS.items(), start=1):
            key = await system.create_tenant(kind, read_spec({"limits": allowed}))

            async def submit(client: httpx2.AsyncClient, number: int, key: str = key) -> int:
                answer = await client.post(
                    f"{bases[number % 2]}/api/v3/openai/sora-2",
                    json={"prompt": f"wave {number}"},
                    headers={"authorization": f"Bearer {key}"},
                )
                return answer.status_code

            async with Httpx2AiohttpClient(timeout=30.0, trust_env=False, limits=limits) as client:
                answers = Counter(await asyncio.gather(*(submit(client, number) for number in range(SUBMISSIONS))))
            assert answers == {200: ALLOWED, refusal: SUBMISSIONS - ALLOWED}, kind
            assert (await system.seen_upstream())["paid_submissions"] == count * ALLOWED
            ledger = await inside.ledger.ledger(kind, window_of(int(inside.clock() * 1000)).month)
            assert (ledger.admitted, ledger.held, ledger.conserved) == (ALLOWED, ALLOWED * 400_000, True)
