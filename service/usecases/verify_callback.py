"""Whether a callback is WaveSpeed's own: signed with its secret, which is fetched, cached, and fetched again."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from service.domain.errors import ReadFailed
from service.domain.webhook_signature import verify_wavespeed
from service.stores.upstream_secrets import UpstreamSecrets, UpstreamSecretStore
from service.upstream.client import WaveSpeed

REFRESH_S: Final = 3_600.0
"""How long a fetched secret is relied on before it is fetched again."""

REFETCH_S: Final = 30.0
"""Shortest time between fetches that callbacks with a wrong signature may cause: a flood of forgeries costs nothing."""

PREVIOUS_MS: Final = 7 * 24 * 3_600_000
"""How long the secret before the present one stays good after a change."""

log = structlog.get_logger()


@dataclass(slots=True)
class VerifyCallback:
    """The use case. The secrets are kept in Redis too: a restarted gateway still knows the previous one."""

    upstream: WaveSpeed
    store: UpstreamSecretStore
    clock: Callable[[], float]
    _secrets: UpstreamSecrets = field(default_factory=UpstreamSecrets)
    _fetched_at_s: float = 0.0
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether these headers sign this body, with a time at most 300 s from now.

        Raises `ReadFailed` while no secret is known and none can be fetched, and `StoreUnavailable`.
        """
        if not self._secrets.current or self.clock() - self._fetched_at_s > REFRESH_S:
            await self._fetch(REFETCH_S if self._secrets.current else 0.0)
        if self._signed(headers, body):
            return True
        known = self._secrets
        await self._fetch(REFETCH_S)
        return self._secrets is not known and self._signed(headers, body)

    def _signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether one of the secrets that are good now signs it."""
        now_s = self.clock()
        good = [self._secrets.current]
        if now_s * 1000 - self._secrets.changed_at_ms < PREVIOUS_MS:
            good.append(self._secrets.previous)
        return any(verify_wavespeed(secret, headers, body, int(now_s)) for secret in good)

    async def _fetch(self, not_within_s: float) -> None:
        """Ask WaveSpeed for its secret, unless that was done just now; what is known stays when it does not answer."""
        async with self._fetching:
            if self.clock() - self._fetched_at_s < not_within_s:
                return
            stored = await self.store.load()
            try:
                fetched = await self.upstream.webhook_secret()
            except ReadFailed as failure:
                if not stored.current:
                    raise
                log.warning("upstream webhook secret not fetched", reason=failure.reason)
                fetched = stored.current
            if fetched != stored.current:
                log.info("upstream webhook secret changed" if stored.current else "upstream webhook secret fetched")
                stored = UpstreamSecrets(fetched, stored.current, int(self.clock() * 1000))
                await self.store.save(stored)
            self._secrets, self._fetched_at_s = stored, self.clock()
