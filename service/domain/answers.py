"""What callers are told of a prediction: the upstream's words in our name."""

from typing import Any, Final

from service.domain.predictions import RETENTION_MS, Observation, Prediction, State
from service.domain.timestamps import rfc3339

MIN_RENAMED: Final = 8
"""Upstream ids shorter than this are left alone in the upstream's words: they would be found in innocent ones."""


def initial_answer(prediction_id: str, model: str, created_at_ms: int) -> dict[str, Any]:
    """What callers are told of a prediction about which the upstream has said nothing yet."""
    return {
        "id": prediction_id,
        "model": model,
        "outputs": [],
        "has_nsfw_contents": [],
        "status": State.CREATED.value,
        "created_at": rfc3339(created_at_ms),
        "error": "",
        "executionTime": 0,
        "timings": {"inference": 0},
    }


def with_expiry(answer: dict[str, Any], ended_at_ms: int) -> dict[str, Any]:
    """An answer with outputs also says until when they can be fetched."""
    if not answer["outputs"]:
        return answer
    return answer | {"output_expires_at": rfc3339(ended_at_ms + RETENTION_MS)}


def merged(before: Prediction, seen: Observation, state: State) -> dict[str, Any]:
    """The upstream's words in our name: unknown fields kept, its id and URLs replaced or left out."""
    words = {name: value for name, value in seen.data.items() if name not in ("urls", "outputs", "input", "inputs")} | {
        "error": seen.error
    }
    if len(before.upstream_id) >= MIN_RENAMED:  # it stays inside, except where it is part of an output's address
        words = _renamed(words, before.upstream_id, before.id)
    outputs = seen.data.get("outputs")
    return {
        **before.answer,
        **words,
        "id": before.id,
        "model": before.model,
        "status": state.value,
        "created_at": before.answer.get("created_at", rfc3339(before.created_at_ms)),
        "outputs": outputs if isinstance(outputs, list) else [outputs] if outputs else [],
    }


def _renamed(value: Any, upstream_id: str, our_id: str) -> Any:
    """A JSON value with one id in place of the other, wherever a text or a name holds it; numbers stay."""
    match value:
        case str():
            return value.replace(upstream_id, our_id)
        case list():
            return [_renamed(item, upstream_id, our_id) for item in value]
        case dict():
            return {name.replace(upstream_id, our_id): _renamed(v, upstream_id, our_id) for name, v in value.items()}
        case _:
            return value
