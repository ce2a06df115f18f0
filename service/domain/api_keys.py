"""API keys: `bw_`, 26 random base62 characters, 6 of checksum. Only the SHA-256 of a key is ever stored.

The checksum lets a mistyped or made-up key be refused without asking Redis. 26 base62 characters are 154 bits.
"""

import secrets
from hashlib import sha256
from zlib import crc32

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX = "bw_"
_RANDOM = 26
_CHECKSUM = 6
LENGTH = len(_PREFIX) + _RANDOM + _CHECKSUM


def _checksum(body: str) -> str:
    """CRC-32 of the random part in base62, most significant digit first, six digits."""
    number = crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits


def mint_api_key() -> str:
    """Make a new key; the caller shows it once and stores only its `digest`."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return _PREFIX + body + _checksum(body)


def looks_valid(key: str) -> bool:
    """Say whether prefix, length and checksum fit; says nothing about whether such a key was ever issued."""
    if len(key) != LENGTH or not key.startswith(_PREFIX) or not key.isascii():
        return False
    body = key[len(_PREFIX) : -_CHECKSUM]
    return body.isalnum() and _checksum(body) == key[-_CHECKSUM:]


def digest(key: str) -> str:
    """SHA-256 of the key in hex: what is stored and looked up."""
    return sha256(key.encode()).hexdigest()
