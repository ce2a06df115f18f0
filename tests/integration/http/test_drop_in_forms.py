"""Every call of WaveSpeed's that some client or some page of its documentation makes, in each of its forms."""

from typing import Any, Final

import pytest

from tests.integration.http.gateway import Gateway
from tests.integration.simulator.running import MODEL

ID: Final = "{id}"
FILE: Final = {"files": {"file": ("pier.png", b"not really", "image/png")}}
PREDICTIONS: Final = "/api/v3/predictions"

FORMS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("POST", f"/api/v3/{MODEL}", {"json": {"prompt": "a wave"}}),
    ("POST", f"/api/v3/{MODEL}?webhook=http%3A%2F%2F127.0.0.1%3A9%2F", {"json": {"prompt": "a wave"}}),
    ("POST", f"/api/v3/{MODEL}", {"json": {"prompt": "a wave", "webhook_url": "http://127.0.0.1:9/"}}),
    ("GET", f"{PREDICTIONS}/{ID}/result", {}),
    ("GET", f"{PREDICTIONS}/{ID}", {}),
    ("GET", f"/api/v2/predictions/{ID}/result", {}),
    ("POST", PREDICTIONS, {"json": {"page": 1, "page_size": 100, "include_inputs": True}}),
    ("POST", PREDICTIONS, {}),
    ("GET", f"{PREDICTIONS}?page=1&page_size=10", {}),
    ("POST", f"{PREDICTIONS}/delete", {"json": {"ids": [ID]}}),
    ("DELETE", f"{PREDICTIONS}/{ID}", {}),
    ("GET", "/api/v3/balance", {}),
    ("GET", "/api/v3/account/balance", {}),
    ("GET", "/api/v3/webhook/secret", {}),
    ("POST", "/api/v3/media/uploads", {"json": {"filename": "pier.png", "size": 10, "content_type": "image/png"}}),
    ("POST", "/api/v3/media/upload/binary", FILE),
    ("POST", "/api/v3/upload", FILE),
    ("POST", "/api/v3/uploads", FILE),
]

form = pytest.mark.parametrize(("method", "path", "given"), FORMS, ids=[f"{m} {p}" for m, p, _ in FORMS])


@form
async def test_it_is_served(gateway: Gateway, method: str, path: str, given: dict[str, Any]) -> None:
    """200 in the envelope with code 200, and nothing beside `data` at its top: some clients die of an `error` there."""
    prediction_id = (await gateway.submitted())["id"]
    if given.get("json") == {"ids": [ID]}:
        given = {"json": {"ids": [prediction_id]}}
    answer = await gateway.client.request(method, path.replace(ID, prediction_id), **given)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["code"], answer.json()["message"]) == (200, "success")
    assert set(answer.json()) == {"code", "message", "data"}


@form
async def test_without_a_key_it_is_a_401(gateway: Gateway, method: str, path: str, given: dict[str, Any]) -> None:
    """In WaveSpeed's form for errors, whose `message` is what its clients show."""
    headers = {"authorization": "Bearer sk-made-up"}
    answer = await gateway.client.request(method, path.replace(ID, "0" * 32), headers=headers, **given)
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "unknown API key"})
