"""Find the tenant behind an API key, from a short-lived cache or one look at Redis."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Final

from service.domain.api_keys import digest, looks_valid
from service.domain.errors import Overloaded, Unauthenticated
from service.domain.tenants import Tenant
from service.metrics import Metrics
from service.stores.api_key_store import ApiKeyStore

CACHE_S: Final = 5.0
"""How long an answer is believed, and so how long a revoked key may still work, in seconds."""

CACHE_ENTRIES: Final = 20_000
"""Most keys remembered, known and unknown together; the oldest entry leaves first."""

LOOK_UPS_PER_S: Final = 1_000
"""Most look-ups of keys this process does not know, each second: made-up keys must not become load on Redis."""

_Entry = tuple[float, Tenant | None]
"""Until when (monotonic) a key is known to be this tenant's, or nobody's."""

_REFUSAL: Final = "unknown API key"


class Authenticate:
    """The use case. `monotonic` gives seconds."""

    def __init__(self, keys: ApiKeyStore, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self.cache: dict[str, _Entry] = {}
        self._looking: dict[str, asyncio.Task[_Entry]] = {}
        self._second, self._looked_up = 0, 0
        # Bound once: every request pays for one of them.
        self._known, self._unknown, self._malformed, self._bounded = (
            metrics.authentications.labels(result) for result in ("known", "unknown", "malformed", "bounded")
        )

    async def __call__(self, key: str) -> Tenant:
        """Return the tenant.

        A key whose checksum is wrong never reaches Redis; an unknown one is remembered as such, so that a client
        looping on a revoked key costs one look in five seconds. Keys are found by their SHA-256, so that no
        comparison of theirs takes a time that tells anything. Raises `Unauthenticated`, and for a key not in the
        cache `StoreUnavailable`, or `Overloaded` past `LOOK_UPS_PER_S`.
        """
        name = digest(key)
        now = self._monotonic()
        cached = self.cache.get(name)
        if cached is None or cached[0] <= now:
            if not looks_valid(key):
                self._malformed.inc()
                raise Unauthenticated(_REFUSAL)
            cached = await self._looked_up_once(name, now, known=cached is not None and cached[1] is not None)
        if cached[1] is None:
            self._unknown.inc()
            raise Unauthenticated(_REFUSAL)
        self._known.inc()
        return cached[1]

    async def _looked_up_once(self, name: str, now: float, *, known: bool) -> _Entry:
        """One look for all who wait for the same key just now; one that was good a moment ago is never made to wait."""
        looking = self._looking.get(name)
        if looking is None:
            if not known:
                self._count_look_up(now)
            looking = self._looking[name] = asyncio.create_task(self._look_up(name, now))
            looking.add_done_callback(lambda _: self._looking.pop(name, None))
        return await asyncio.shield(looking)  # a caller who hangs up ends nobody else's look

    def _count_look_up(self, now: float) -> None:
        """Count a look-up of an unknown key. Raises `Overloaded` when there were too many this second."""
        if int(now) != self._second:
            self._second, self._looked_up = int(now), 0
        self._looked_up += 1
        if self._looked_up > LOOK_UPS_PER_S:
            self._bounded.inc()
            raise Overloaded("too many unknown API keys are being tried")

    async def _look_up(self, name: str, now: float) -> _Entry:
        """Ask Redis and remember the answer, for a key that expires no longer than it lives."""
        owner = await self._keys.find_owner(name)
        self.cache.pop(name, None)
        while len(self.cache) >= CACHE_ENTRIES:
            self.cache.pop(next(iter(self.cache)))
        lasts_s = CACHE_S if owner is None or owner.expires_in_s is None else min(CACHE_S, owner.expires_in_s)
        self.cache[name] = entry = (now + lasts_s, owner.tenant if owner else None)
        return entry


class AuthenticateOperator:
    """The admin face's one token. Without one, nobody is an operator."""

    def __init__(self, token: str) -> None:
        self._digest = digest(token) if token else ""

    def __repr__(self) -> str:
        return "AuthenticateOperator(**********)"

    def __call__(self, given: str) -> None:
        """Compare in constant time, whatever the lengths. Raises `Unauthenticated`."""
        if not self._digest or not hmac.compare_digest(digest(given), self._digest):
            raise Unauthenticated("wrong admin token")
