"""The secrets WaveSpeed signs its callbacks with: the present one and the one before, encrypted, for all gateways."""

from dataclasses import dataclass

from service.stores import keys
from service.stores.answers import pairs
from service.stores.commands import Commands
from service.stores.encryption import Encryption


@dataclass(frozen=True, slots=True)
class UpstreamSecrets:
    """What is known; "" for a secret there is not. `changed_at_ms` is when the present one replaced the previous."""

    current: str = ""
    previous: str = ""
    changed_at_ms: int = 0

    def __repr__(self) -> str:
        return f"UpstreamSecrets(**********, changed_at_ms={self.changed_at_ms})"


class UpstreamSecretStore:
    """Reads and writes them. Raises `StoreUnavailable`, and `WrongEncryptionKey` for what does not decrypt."""

    def __init__(self, commands: Commands, encryption: Encryption) -> None:
        self._commands = commands
        self._encryption = encryption

    async def load(self) -> UpstreamSecrets:
        """What the gateways have found out so far."""
        record = pairs(await self._commands("HGETALL", keys.UPSTREAM_SECRET))
        if not record:
            return UpstreamSecrets()
        current, previous = (
            self._encryption.decrypt(record[name]) if record.get(name) else "" for name in (b"current", b"previous")
        )
        return UpstreamSecrets(current, previous, int(record[b"changed_at_ms"]))

    async def save(self, secrets: UpstreamSecrets) -> None:
        """Store them for all gateways. Two that see a change at the same time write the same."""
        await self._commands(
            "HSET",
            keys.UPSTREAM_SECRET,
            "current",
            self._encryption.encrypt(secrets.current),
            "previous",
            self._encryption.encrypt(secrets.previous) if secrets.previous else "",
            "changed_at_ms",
            secrets.changed_at_ms,
        )
