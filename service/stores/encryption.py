"""Webhook secrets at rest: Fernet (AES-128-CBC with HMAC-SHA256), several keys for rotation."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.domain.errors import BreakwaterError, StoreUnavailable
from service.stores import keys
from service.stores.commands import Commands

_CANARY = b"breakwater"

_REMEMBERED: Final = 4_096
"""How many secrets a process remembers: each callback signs with one, and decrypting costs as much as signing."""


class WrongEncryptionKey(BreakwaterError):
    """What is stored was encrypted under a key this process does not have."""


class Encryption:
    """Encrypts with the first key, decrypts with any. Without keys every use raises `WrongEncryptionKey`."""

    def __init__(self, encryption_keys: Sequence[str]) -> None:
        self._decrypt = lru_cache(_REMEMBERED)(self._decrypt_once)
        self._fernet = MultiFernet([Fernet(key) for key in encryption_keys]) if encryption_keys else None

    def _require(self) -> MultiFernet:
        if self._fernet is None:
            raise WrongEncryptionKey("BREAKWATER_ENCRYPTION_KEY: is required for this")
        return self._fernet

    def encrypt(self, secret: str) -> bytes:
        """Encrypt one secret for storage."""
        return self._require().encrypt(secret.encode())

    def decrypt(self, token: bytes | str) -> str:
        """Read one secret, or remember it. Raises `WrongEncryptionKey`, which never repeats the token."""
        return self._decrypt(token)

    def _decrypt_once(self, token: bytes | str) -> str:
        try:
            return self._require().decrypt(token).decode()
        except InvalidToken:
            raise WrongEncryptionKey("a stored secret does not decrypt with BREAKWATER_ENCRYPTION_KEY") from None

    def renew(self, token: str) -> str:
        """The same secret under the first key. Raises `WrongEncryptionKey`."""
        return self.encrypt(self.decrypt(token)).decode()

    async def renew_canary(self, commands: Commands) -> None:
        """Write the canary under the first key."""
        await commands("SET", keys.CANARY, self.encrypt(_CANARY.decode()), "XX")

    def fits(self, canary: bytes) -> bool:
        """Whether a stored canary was written under one of the keys."""
        try:
            return self._require().decrypt(canary) == _CANARY
        except InvalidToken:
            return False

    async def check_canary(self, commands: Commands) -> None:
        """Compare with the canary the first process stored, or store it. Raises `WrongEncryptionKey` on a mismatch.

        A deployment that starts with another key would write secrets nobody else can read.
        """
        stored = await commands("GET", keys.CANARY)
        if stored is None:
            await commands("SET", keys.CANARY, self._require().encrypt(_CANARY), "NX")
            stored = await commands("GET", keys.CANARY)
        if stored is None:
            raise StoreUnavailable("the store was emptied while it was looked at")
        if not self.fits(stored):
            raise WrongEncryptionKey(
                "BREAKWATER_ENCRYPTION_KEY: is not the key this Redis was written with; add the old key after a comma"
            )
