"""A careful caller: asks until there is an answer, always under the same idempotency key."""

import asyncio
from uuid import UUID

import httpx2


async def submit(
    client: httpx2.AsyncClient, bases: tuple[str, ...], key: str, number: int, prompt: str, webhook: str = ""
) -> str:
    """Submit through one gateway after the other; the id, or "" if WaveSpeed refused it."""
    for attempt in range(400):
        try:
            answer = await client.post(
                f"{bases[(number + attempt) % len(bases)]}/api/v3/openai/sora-2",
                json={"prompt": prompt},
                params={"webhook": webhook} if webhook else {},
                headers={"authorization": f"Bearer {key}", "idempotency-key": f"n-{number}"},
            )
        except httpx2.TransportError:  # its gateway was just killed: whether it was accepted is not known
            await asyncio.sleep(0.05)
            continue
        if answer.status_code == 200:
            return str(UUID(answer.json()["data"]["id"]).hex)
        if answer.status_code == 422:
            return ""
        assert answer.status_code in (409, 503), answer.text  # 429 never: the account's want of capacity is not ours
        await asyncio.sleep(0.1)
    raise AssertionError(f"submission {number} was never answered")
