"""Temporary stand-in."""

from dataclasses import dataclass
import httpx2

TOTAL_S = 15.0


@dataclass
class AttemptResult:
    outcome: str
    status: int
    duration_s: float = 0
    answer: str = ""
    retry_after_s: float | None = None
    error: str = ""


class WebhookSender:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *a): ...
    async def send(self, url, body, headers, policy):
        async with httpx2.AsyncClient() as c:
            try:
                r = await c.post(url, content=body, headers=headers)
                return AttemptResult("delivered" if r.status_code < 300 else "failed", r.status_code)
            except Exception as e:
                return AttemptResult("failed", 0, error=str(e))
