"""A prediction as callers see it: WaveSpeed's shape and our own. Pure."""

from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json

from service.domain.endpoints import Endpoint
from service.domain.json_forms import json_bytes
from service.domain.predictions import EventType, Prediction
from service.domain.timestamps import rfc3339

MAX_EVENT_BYTES: Final = 20_000
"""A webhook body stays under this: what does not fit is left out and named."""

_NEVER_OMITTED: Final = frozenset({"id", "model", "status", "created_at", "sequence", "urls"})
"""What a receiver cannot do without, and the gateway writes itself: all of it short."""


def result_url(base_url: str, prediction_id: str) -> str:
    """Where the result of a prediction is read: always at the gateway, in the form every client understands."""
    return f"{base_url}/api/v3/predictions/{prediction_id}/result"


def wavespeed_prediction(prediction: Prediction, base_url: str) -> dict[str, Any]:
    """The `data` of WaveSpeed's envelope."""
    return {**prediction.answer, "urls": {"get": result_url(base_url, prediction.id)}}


def native_prediction(prediction: Prediction, base_url: str) -> dict[str, Any]:
    """The native shape: what webhooks carry as `data`. Of one that waits, its reader may be told its place as well."""
    ended = prediction.ended_at_ms or None
    answer = prediction.answer
    return {
        "id": prediction.id,
        "model": prediction.model,
        "status": prediction.state.public,
        "input": from_json(prediction.input) if prediction.input else None,
        "outputs": answer.get("outputs", []),
        "has_nsfw_contents": answer.get("has_nsfw_contents", []),
        "error": answer.get("error") or None,
        "timings": answer.get("timings", {}),
        "metadata": dict(prediction.metadata),
        "created_at": rfc3339(prediction.created_at_ms),
        "started_at": rfc3339(prediction.started_at_ms) if prediction.started_at_ms else None,
        "ended_at": rfc3339(ended) if ended else None,
        "output_expires_at": rfc3339(expires) if (expires := prediction.output_expires_at_ms) else None,
        "sequence": prediction.sequence,
        "urls": {"get": result_url(base_url, prediction.id)},
    }


def event_body(event: EventType, prediction: Prediction, base_url: str, at_ms: int) -> bytes:
    """The body of a Standard Webhooks message: type, timestamp, data; under `MAX_EVENT_BYTES`."""
    data = native_prediction(prediction, base_url)
    return _fitted(data, lambda fitted: {"type": event, "timestamp": rfc3339(at_ms), "data": fitted})


def endpoint_test_body(endpoint: Endpoint, at_ms: int) -> bytes:
    """The body of the message that only tests an endpoint."""
    data = {"endpoint_id": endpoint.id, "description": endpoint.description}
    return json_bytes({"type": "endpoint.test", "timestamp": rfc3339(at_ms), "data": data})


def endpoint_disabled_body(endpoint: Endpoint, at_ms: int) -> bytes:
    """The body of the message that tells of an endpoint that gets nothing any more; without its URL, often a secret."""
    data = {
        "endpoint_id": endpoint.id,
        "description": endpoint.description,
        "disabled_by": endpoint.disabled_by,
        "disabled_at": rfc3339(endpoint.disabled_at_ms),
    }
    return json_bytes({"type": "endpoint.disabled", "timestamp": rfc3339(at_ms), "data": data})


def wavespeed_callback_body(prediction: Prediction, base_url: str) -> bytes:
    """The body WaveSpeed itself would send: the bare prediction with its input; outputs only when completed."""
    data = wavespeed_prediction(prediction, base_url)
    data["input"] = from_json(prediction.input) if prediction.input else None
    if data["status"] != "completed":
        data.pop("outputs", None)
    if not data.get("error"):
        data.pop("error", None)
    return _fitted(data, lambda fitted: fitted)


def _fitted(data: dict[str, Any], wrap: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    """Serialise; what would make the body too large is left out, input first, and `omitted` names it."""
    omitted = ["input"] if data["input"] is None else []  # a large input was dropped when it was sent
    next_to_go: list[str] | None = None
    while True:
        fitted = {name: value for name, value in data.items() if name not in omitted}
        body = json_bytes(wrap(fitted | {"omitted": omitted} if omitted else fitted))
        if len(body) <= MAX_EVENT_BYTES:
            return body
        if next_to_go is None:
            next_to_go = _order_of_leaving(data)
        if not next_to_go:
            return body
        name = next_to_go.pop(0)
        omitted = [*omitted, name] if name not in omitted else omitted


def _order_of_leaving(data: dict[str, Any]) -> list[str]:
    """What is left out of a body that is too large, the first first."""
    names = [name for name in data if name not in _NEVER_OMITTED]
    by_size = sorted(names, key=lambda name: len(json_bytes(data[name])), reverse=True)
    return [name for name in ("input", "outputs", *by_size) if name in data]
