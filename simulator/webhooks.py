"""Upstream webhooks: the bare prediction, signed in WaveSpeed's `v3` form, retried a few times."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

import httpx2
from pydantic_core import to_json

from simulator.tasks import Task

RETRY_DELAYS_S: Final = (0.5, 1.0, 2.0)
"""Waits before the up to three retries."""

_LOOK_EVERY_S: Final = 0.05


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """`v3,<hex>`: HMAC-SHA256 of `id.timestamp.body` under the secret's text without its prefix."""
    key = secret.removeprefix("whsec_").encode()
    return "v3," + hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


class Webhooks:
    """Sends a callback when a run ends."""

    def __init__(self, secret: str, clock: Callable[[], float]) -> None:
        self.secret = secret
        self._clock = clock
        self._client = httpx2.AsyncClient(timeout=20.0, trust_env=False)
        self._sending: set[asyncio.Task[None]] = set()

    def owe(self, task: Task, view: Callable[[], dict[str, Any]]) -> None:
        """Send `view()` to the run's webhook once it has ended."""
        if task.webhook and "no-webhook" not in task.asked.flags:
            sending = asyncio.create_task(self._send(task, view))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _send(self, task: Task, view: Callable[[], dict[str, Any]]) -> None:
        """Wait for the end, then send; twice where the prompt asked for it."""
        while not task.ended(self._clock()):  # noqa: ASYNC110 the clock is passed in, and a control call may end it
            await asyncio.sleep(_LOOK_EVERY_S)
        body = to_json(callback_body(view(), task.inputs))
        for _ in range(2 if "webhook-twice" in task.asked.flags else 1):
            for delay_s in (*RETRY_DELAYS_S, None):
                if await self._attempt(task, body) or delay_s is None:
                    break
                await asyncio.sleep(delay_s)

    async def _attempt(self, task: Task, body: bytes) -> bool:
        """POST once; True for a 2xx."""
        timestamp = int(self._clock())
        headers = {
            "content-type": "application/json",
            "webhook-id": task.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self.secret, task.id, timestamp, body),
        }
        try:
            return (await self._client.post(task.webhook, content=body, headers=headers)).is_success
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return False

    async def aclose(self) -> None:
        """Stop sending."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._client.aclose()


def callback_body(view: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """The bare prediction with its input; outputs only when completed, error only when failed."""
    left_out = "error" if view["status"] == "completed" else "outputs"
    return {name: value for name, value in view.items() if name != left_out} | {"input": inputs}
