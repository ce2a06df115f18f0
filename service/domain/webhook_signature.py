"""WHERE A CALLBACK IS SIGNED, in two forms.

Registered endpoints get Standard Webhooks (`v1`), per-request callbacks WaveSpeed's own form (`v3`), so that receivers
written for either work unchanged. Both sign `id.timestamp.body` with HMAC-SHA256. They differ in the key (`v1`: the
secret base64-decoded; `v3`: the secret's characters as they are) and in how the digest is written (base64; hex).
"""

import base64
import hashlib
import hmac
import re
import secrets as random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

_PREFIX: Final = "whsec_"
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def new_secret() -> str:
    """Return a fresh secret for either form: `whsec_` and 24 random bytes in base64."""
    return _PREFIX + base64.b64encode(random.token_bytes(24)).decode()


def standard_headers(secrets: Sequence[str], webhook_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """Sign one attempt the Standard Webhooks way, once for each secret, the newest first.

    A receiver accepts any one of the signatures, so it may hold the old or the new secret during a rotation. `now_s` is
    the time of the attempt in seconds since 1970. Raises `ValueError` without a secret, for a secret that is not
    base64, and for a body that is not UTF-8.
    """
    if not secrets:
        raise ValueError("no secret to sign with")
    text = body.decode()
    # sign() takes the clock reading of whatever zone it is given for UTC: only a time in UTC comes out right.
    when = datetime.fromtimestamp(now_s, UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, when, text) for secret in secrets),
    }


def wavespeed_headers(secret: str, webhook_id: str, now_s: int, body: bytes) -> dict[str, str]:
    """Sign one attempt the way WaveSpeed does; `now_s` is its time in seconds since 1970."""
    timestamp = str(now_s)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": _v3(secret, webhook_id, timestamp, body),
    }


def verify_wavespeed(secret: str, headers: Mapping[str, str], body: bytes, now_s: int, tolerance_s: int = 300) -> bool:
    """Whether `headers` sign `body` with `secret`, and did so at most `tolerance_s` seconds from `now_s`.

    Header names are taken in any case. Never raises: what is missing or malformed is not signed. An empty secret
    signs nothing, since anyone can sign with it.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    timestamp = lower.get("webhook-timestamp", "")
    if not secret.removeprefix(_PREFIX) or not _TIMESTAMP.fullmatch(timestamp):
        return False
    if abs(now_s - int(timestamp)) > tolerance_s:
        return False
    expected = _v3(secret, lower.get("webhook-id", ""), timestamp, body).encode()
    given = lower.get("webhook-signature", "").split(" ")
    # Compared as bytes: compare_digest refuses text outside ASCII.
    return any(hmac.compare_digest(expected, one.encode(errors="replace")) for one in given)


def _v3(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    key = secret.removeprefix(_PREFIX).encode()
    message = f"{webhook_id}.{timestamp}.".encode(errors="replace") + body
    return "v3," + hmac.new(key, message, hashlib.sha256).hexdigest()
