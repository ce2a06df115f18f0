"""Temporary stand-in."""

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime

from standardwebhooks import Webhook


def new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()


def standard_headers(secrets, webhook_id, now_s, body):
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(
            Webhook(s).sign(webhook_id, datetime.fromtimestamp(now_s, UTC), body.decode()) for s in secrets
        ),
    }


def _v3(secret, webhook_id, ts, body):
    return (
        "v3,"
        + hmac.new(
            secret.removeprefix("whsec_").encode(), f"{webhook_id}.{ts}.".encode() + body, hashlib.sha256
        ).hexdigest()
    )


def wavespeed_headers(secret, webhook_id, now_s, body):
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": _v3(secret, webhook_id, now_s, body),
    }


def verify_wavespeed(secret, headers, body, now_s, tolerance_s=300):
    return _v3(secret, headers["webhook-id"], headers["webhook-timestamp"], body) == headers["webhook-signature"]
