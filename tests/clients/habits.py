"""The habits of clients that are not installed here, scripted: how each submits, waits, and what it dies of.

Only the pauses between looks are shorter than theirs.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

LOOK_EVERY_S: Final = 0.05
WAIT_S: Final = 30.0

_TWO: Final = frozenset({"completed", "failed"})
_FIVE: Final = _TWO | {"cancelled", "timeout", "deleted"}


class Died(Exception):
    """The client has ended with an error of its own; the text says what it saw."""


async def post_and_post_again(client: httpx2.AsyncClient, url: str, body: dict[str, Any], abort_s: float) -> int:
    """The Go client and the older npm ones: a submission not answered in time is aborted and posted again, five times.

    Returns how often it posted.
    """
    for posts in range(1, 7):
        try:
            answer = await client.post(url, json=body, timeout=abort_s)
        except httpx2.TransportError:
            continue
        if answer.status_code != 200:
            raise Died(answer.text)
        return posts
    return posts


def _result(submitted: dict[str, Any]) -> str:
    return f"/api/v3/predictions/{submitted['id']}/result"


def _any_2xx(answer: httpx2.Response) -> dict[str, Any]:
    """Dies of any other status."""
    if not answer.is_success:
        raise Died(f"{answer.status_code} {answer.text}")
    body: dict[str, Any] = answer.json()
    return body


def _code_200(answer: httpx2.Response) -> dict[str, Any]:
    """Dies also of another code in the body."""
    body = _any_2xx(answer)
    if body["code"] != 200:
        raise Died(str(body))
    return body


def _no_error(answer: httpx2.Response) -> dict[str, Any]:
    """Dies also of an `error` at the top of the body, whatever it is."""
    body = _any_2xx(answer)
    if "error" in body:
        raise Died(str(body))
    return body


def _of_the_right_types(answer: httpx2.Response) -> dict[str, Any]:
    """Dies also of fields that are not of the types it knows."""
    body = _any_2xx(answer)
    data = body["data"]
    if not (
        isinstance(body["code"], int)
        and all(isinstance(output, str) for output in data["outputs"] or ())
        and isinstance(data["error"], str | None)
        and all(isinstance(took, int | float) for took in (data["timings"] or {}).values())
    ):
        raise Died(str(body))
    return body


@dataclass(frozen=True, slots=True)
class Poller:
    """How one client waits: where it looks, what it dies of, and which statuses end its wait."""

    name: str
    path: Callable[[dict[str, Any]], str]
    judge: Callable[[httpx2.Response], dict[str, Any]]
    ends: frozenset[str]

    async def wait(self, client: httpx2.AsyncClient, submitted: dict[str, Any]) -> dict[str, Any]:
        """Look until it has ended. Raises `Died`, and `TimeoutError` for a status that never ends the wait."""
        async with asyncio.timeout(WAIT_S):
            while True:
                data: dict[str, Any] = self.judge(await client.get(self.path(submitted)))["data"]
                if data["status"].lower() in self.ends:
                    return data
                await asyncio.sleep(LOOK_EVERY_S)


POLLERS: Final = (
    Poller("Go, Java and older npm clients", _result, _any_2xx, _TWO),
    Poller("MCP server of npm", _result, _code_200, _FIVE),
    Poller("MCP server of PyPI", _result, _no_error, _TWO),
    Poller("skills", _result, _any_2xx, frozenset({"completed", "failed", "canceled", "cancelled"})),
    Poller("AI SDK provider", _result, _of_the_right_types, _FIVE),
    Poller("Hugging Face's router", lambda submitted: urlsplit(submitted["urls"]["get"]).path, _any_2xx, _TWO),
    Poller("older ComfyUI nodes", lambda submitted: f"/api/v2/predictions/{submitted['id']}/result", _any_2xx, _TWO),
)
"""Everyone who dies of the first bad answer."""


async def key_check(client: httpx2.AsyncClient, path: str, key: str) -> float:
    """What the command line, n8n and Dify do with a key they are given: it is good if there is a balance.

    Raises `Died` with the text they show.
    """
    answer = await client.get(path, headers={"authorization": f"Bearer {key}"})
    body = answer.json()
    if answer.status_code != 200 or body["code"] != 200:
        raise Died(f"{body['code']} {body['message']}")
    balance = body["data"]["balance"]
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        raise Died(f"no balance: {body}")
    return float(balance)
