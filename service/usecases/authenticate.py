"""Find the tenant behind an API key, from a short-lived cache or one look at Redis."""

from collections.abc import Callable
from typing import Final

from service.domain.api_keys import digest, looks_valid
from service.domain.errors import Unauthenticated
from service.domain.tenants import Tenant
from service.metrics import Metrics
from service.stores.tenant_store import TenantStore

CACHE_S: Final = 5.0
"""How long an answer is believed, and so how long a revoked key may still work, in seconds."""

CACHE_ENTRIES: Final = 10_000
"""Most keys remembered, known and unknown together; the oldest entry leaves first."""

_REFUSAL: Final = "unknown API key"


class Authenticate:
    """The use case. `monotonic` gives seconds."""

    def __init__(self, tenants: TenantStore, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._tenants = tenants
        self._monotonic = monotonic
        self.cache: dict[str, tuple[float, Tenant | None]] = {}
        # Bound once: every request pays for one of them.
        self._known, self._unknown, self._malformed = (
            metrics.authentications.labels(result) for result in ("known", "unknown", "malformed")
        )

    async def __call__(self, key: str) -> Tenant:
        """Return the tenant. Raises `Unauthenticated`, or `StoreUnavailable` for a key not in the cache.

        A key whose checksum is wrong never reaches Redis; an unknown one is remembered as such, so that a client
        looping on a revoked key costs one look in five seconds.
        """
        name = digest(key)
        now = self._monotonic()
        cached = self.cache.get(name)
        if cached is None or cached[0] <= now:
            if not looks_valid(key):
                self._malformed.inc()
                raise Unauthenticated(_REFUSAL)
            tenant = await self._tenants.find_by_digest(name)
            self.cache.pop(name, None)
            while len(self.cache) >= CACHE_ENTRIES:
                self.cache.pop(next(iter(self.cache)))
            self.cache[name] = cached = (now + CACHE_S, tenant)
        if cached[1] is None:
            self._unknown.inc()
            raise Unauthenticated(_REFUSAL)
        self._known.inc()
        return cached[1]
