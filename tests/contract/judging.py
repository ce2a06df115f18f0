"""What schemathesis is told of this gateway: runs inside its process, in its environment.

What it needs to know comes by the environment: the tenant whose key it uses, a receiver, and how WaveSpeed signs.
"""

import hashlib
import hmac
import json
import os
import time
from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

_TENANT: Final = os.environ["CONTRACT_TENANT"]
_RECEIVER: Final = os.environ["CONTRACT_RECEIVER"]
_SIGNED_ID: Final = os.environ["CONTRACT_SIGNED_ID"]
_SECRET: Final = os.environ["CONTRACT_UPSTREAM_SECRET"]
_KEYS: Final[list[str]] = os.environ["CONTRACT_KEY_IDS"].split()
"""Keys of the tenant "keys": chance alone rarely finds a key that can be revoked."""
_CALLS: Final = open(os.environ["CONTRACT_CALLS"], "a", buffering=1)  # noqa: SIM115 open as long as the process lives

_OF_EVERY_ANSWER: Final = frozenset(
    {
        "content-type", "content-length", "transfer-encoding", "connection", "date", "server",  # HTTP's own
        "cache-control", "x-accel-buffering",  # for what stands on the way
        "content-security-policy", "referrer-policy", "x-content-type-options",  # for browsers
    }
)  # fmt: skip
"""Headers that tell a caller nothing of the API, so that no operation describes them."""


def before_call(_context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Keep the tenant that calls alive, and sign what WaveSpeed would have signed."""
    path = case.path_parameters or {}
    if path.get("tenant") == _TENANT:
        path["tenant"] = "other"
    if "key" in path and _well_formed(case) and _KEYS:
        path |= {"tenant": "keys", "key": _KEYS.pop()}
    if "signed_id" in path and _well_formed(case):
        path["signed_id"] = _SIGNED_ID
        kwargs["auth"] = _signed


def _well_formed(case: Any) -> bool:
    """Whether nothing but the body may be wrong, so that the body is what gets judged."""
    parts = case.meta.components if case.meta else {}
    return all(part.mode.is_positive for where, part in parts.items() if where is not ParameterLocation.BODY)


def _signed(request: Any) -> Any:
    """Sign a prepared request as WaveSpeed does."""
    now = str(int(time.time()))
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    key = _SECRET.removeprefix("whsec_").encode()
    signature = hmac.new(key, f"msg_1.{now}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": f"v3,{signature}"}
    request.headers.update(headers)
    return request


def after_call(_context: Any, case: Any, response: Any) -> None:
    """Write down each call and its answer, for the count."""
    operation = case.operation.definition.raw.get("operationId", "")
    method = response.request.method
    _CALLS.write(json.dumps({"operation": operation, "method": method, "status": response.status_code}) + "\n")


def documented_headers(_context: Any, response: Any, case: Any) -> None:
    """An answer has no header that its operation does not describe."""
    described = case.operation.responses.find_by_status_code(response.status_code)
    if described is None or response.status_code == 405:
        return
    known = {name.lower() for name, _ in described.headers.items()} | _OF_EVERY_ANSWER
    unknown = sorted({name.lower() for name in response.headers} - known)
    if unknown:
        raise AssertionError(f"undocumented headers: {', '.join(unknown)}")


def filter_failure(_context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Base64 output and a callback exclude each other (400), and no schema sees the query and the body together."""
    body = case.body if isinstance(case.body, dict) else {}
    called_back = body.get("webhook_url") or (case.query or {}).get("webhook")
    excluded = response.status_code == 400 and body.get("enable_base64_output") is True and called_back
    return not (excluded and isinstance(failure, RejectedPositiveData))


schemathesis.hook(before_call)
schemathesis.hook(filter_failure)
schemathesis.hook(after_call)
schemathesis.check(documented_headers)

# Formats that are judged by more than their form: a callback URL by the allow-list, a name by what can be printed.
schemathesis.openapi.format("uri", st.integers(1, 9).map(lambda n: f"{_RECEIVER}/hook/{n}"))
schemathesis.openapi.format("callback-entry", st.sampled_from(["10.0.0.0/8", "http:*.svc.cluster.local", "a.example"]))
schemathesis.openapi.format(
    "printable", st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=100)
)
