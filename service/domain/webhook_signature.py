"""WHERE CALLBACKS ARE SIGNED: Standard Webhooks for registered endpoints, WaveSpeed's own form for per-request ones."""

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 24


def new_secret() -> str:
    """Make a signing secret: `whsec_` and 24 random bytes in base64, as Standard Webhooks wants them."""
    return PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def standard_headers(signing_secrets: Sequence[str], webhook_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """Sign `body` (UTF-8) under every secret, newest first: both verify while a rotation lasts.

    Standard Webhooks, https://www.standardwebhooks.com: the signed content is `id.timestamp.body`.
    """
    signed_at = datetime.fromtimestamp(now_s, UTC)
    text = body.decode()
    signatures = [Webhook(secret).sign(webhook_id, signed_at, text) for secret in signing_secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(signatures),
    }


def wavespeed_headers(signing_secret: str, webhook_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """Sign `body` as WaveSpeed signs its own callbacks."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": _wavespeed_signature(signing_secret, webhook_id, str(now_s), body),
    }


def _wavespeed_signature(signing_secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """`v3,` and the hex HMAC-SHA256 of `id.timestamp.body`; the key is the secret's text, not what it decodes to."""
    key = signing_secret.removeprefix(PREFIX).encode()
    return "v3," + hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def verify_wavespeed(
    signing_secret: str, headers: Mapping[str, str], body: bytes, now_s: int, tolerance_s: int = 300
) -> bool:
    """Whether a callback in WaveSpeed's form is genuine and at most `tolerance_s` old or early. Never raises.

    `headers` has lower-case names.
    """
    timestamp = headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now_s - int(timestamp[:15])) > tolerance_s:
        return False
    expected = _wavespeed_signature(signing_secret, headers.get("webhook-id", ""), timestamp, body)
    return hmac.compare_digest(expected.encode(), headers.get("webhook-signature", "").encode())
