"""Synchronous submissions whose callers are held, or have hung up before they had the id: by what was asked for."""

from hashlib import sha256
from typing import Final

from service.stores import keys
from service.stores.commands import Commands

KEPT_MS: Final = 120_000
"""How long one that was abandoned is kept: clients that post again do so within seconds."""

_HELD: Final = b"held"


class Abandoned:
    """What is known of each tenant's requests, the last one of a kind. Raises `StoreUnavailable`."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def hold(self, tenant_id: str, fingerprint: str, within_s: float) -> None:
        """A caller is held with such a request, for so long at most."""
        await self._commands("SET", _key(tenant_id, fingerprint), _HELD, "PX", int(within_s * 1000) + KEPT_MS)

    async def answered(self, tenant_id: str, fingerprint: str) -> None:
        """It has its answer."""
        await self._commands("DEL", _key(tenant_id, fingerprint))

    async def put(self, tenant_id: str, fingerprint: str, prediction_id: str) -> None:
        """It has hung up: the prediction is there for the next."""
        await self._commands("SET", _key(tenant_id, fingerprint), prediction_id, "PX", KEPT_MS)

    async def take(self, tenant_id: str, fingerprint: str) -> str | None:
        """The id of an abandoned prediction, which is handed out once; "" for none, None while a caller is held."""
        key = _key(tenant_id, fingerprint)
        if await self._commands("GET", key) == _HELD:
            return None
        taken = await self._commands("GETDEL", key)
        return taken.decode() if taken and taken != _HELD else ""


def _key(tenant_id: str, fingerprint: str) -> str:
    """Its key."""
    return keys.abandoned(sha256(f"{tenant_id}:{fingerprint}".encode()).hexdigest())
