"""Our prediction ids in the addresses WaveSpeed calls back: signed, so that nobody else can name one.

itsdangerous signs them with HMAC-SHA256; several keys rotate: the first signs, all verify.
"""

import hashlib
from collections.abc import Sequence

from itsdangerous import BadSignature, Signer


class CallbackIds:
    """Signs prediction ids, and reads them back."""

    def __init__(self, signing_keys: Sequence[str]) -> None:
        # The library wants the newest key last.
        self._signer = Signer(list(reversed(signing_keys)), salt="upstream-callback", digest_method=hashlib.sha256)

    def __repr__(self) -> str:
        return "CallbackIds(**********)"

    def sign(self, prediction_id: str) -> str:
        """The id with its signature, fit for a URL's path."""
        return self._signer.sign(prediction_id).decode()

    def read(self, signed: str) -> str | None:
        """The prediction id, or None when it was not signed with one of the keys."""
        try:
            return self._signer.unsign(signed).decode()
        except BadSignature:
            return None
