"""Whatever callers send, the metrics have no series but those of the catalogue, and never more than those."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import pytest
from pydantic import SecretStr

from service.domain.api_keys import mint_api_key
from service.domain.catalogue import UNLISTED
from service.metrics.catalogue import HELD, MODELS, ROUTES, TENANTS, TIMED_ROUTES, UNMATCHED, VERSIONS
from service.metrics.declared import Values
from tests.integration.http.gateway import Gateway, open_gateway, settings
from tests.integration.simulator.running import Running
from tests.series import Labels, series_of, undeclared

REQUESTS: Final = 1_000
AT_ONCE: Final = 25
UNKNOWN_KEYS: Final = 40
"""Fewer than are looked up in a second: what is refused without a look depends on how fast the machine is."""

ADMIN_TOKEN: Final = "an-operators-token"
ODD: Final = "0aZ-_.~%\u00e9\u6d77'\"{}$\\<>; "
METHODS: Final = (
    *("POST", "GET") * 6,  # what most callers send
    *("PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO", "get", "PROPFIND"),
    *("X" * 60, "M-SEARCH"),
)
STARTED: Final = "breakwater_submissions_total", {"tenant": "acme", "model": "openai/sora-2", "outcome": "started"}
FACTS: Final = frozenset({"status", "outcome", "result", "decision", "limit", "tenant", "model"})
"""Labels that tell how it went, and with whom: they may differ from one run to the next, within their closed sets."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request somebody might send."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@pytest.fixture
async def open_to_all(redis_url: str, simulator: Running) -> AsyncIterator[Gateway]:
    """A gateway with every face, that also takes models no catalogue lists."""
    configuration = settings(
        redis_url,
        simulator.url,
        admin_token=SecretStr(ADMIN_TOKEN),
        signing_key=(SecretStr("signs-our-ids-in-urls"),),
        unlisted_models="allow",
        max_wait_s=0.0,
    )
    async with open_gateway(configuration) as gateway:
        yield gateway


def text(chance: random.Random, longest: int = 24) -> str:
    """Some text, of letters and of what should not be in a URL or a label."""
    return "".join(chance.choice(ODD) for _ in range(chance.randint(1, longest)))


def requests(shape: random.Random, filling: random.Random, templates: list[str], keys: list[str]) -> list[Asked]:
    """So many requests: `shape` decides what kind of request each is, `filling` what stands where any text may."""
    made = []
    for _ in range(REQUESTS):
        kind = shape.random()
        if kind < 0.3:
            path = f"/{text(filling)}/{text(filling)}"
        elif kind < 0.45:
            model = shape.choice(["openai/sora-2", "openai/sora-2-pro", f"some/{filling.getrandbits(64):x}"])
            path = f"/api/v3/{model}"
        else:
            path = "/".join(
                f"{filling.getrandbits(128):032x}" if part.startswith("{") else part
                for part in shape.choice(templates).split("/")
            )
        body = shape.choice([b"", b"{", b"[]", b'{"prompt": ""}', b'{"prompt": "%d"}' % filling.getrandbits(32)])
        headers = {
            "authorization": f"Bearer {shape.choice(keys[: shape.choice([3, len(keys)])])}",
            "content-type": shape.choice(["application/json", "text/plain", "multipart/form-data; boundary=x"]),
            "x-request-id": f"{filling.getrandbits(64):x}",
            "host": f"{filling.getrandbits(32):x}.example",
        }
        method = shape.choice(METHODS)
        if shape.random() < 0.1:  # one that is good
            method, path = "POST", "/api/v3/openai/sora-2"
            headers |= {"authorization": f"Bearer {shape.choice(keys[:2])}", "content-type": "application/json"}
            body = b'{"prompt": "%d"}' % filling.getrandbits(32)
        made.append(Asked(method, path, headers, body))
    return made


async def send(gateway: Gateway, all_of_them: list[Asked]) -> None:
    """Send them, some at a time, as raw ASGI: a client of ours would refuse half of them."""
    waiting = iter(all_of_them)

    async def one_after_another() -> None:
        for one in waiting:
            await ask(gateway, one)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def ask(gateway: Gateway, one: Asked) -> None:
    """Send one request; its answer is thrown away."""
    given = [{"type": "http.request", "body": one.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return given.pop() if given else {"type": "http.disconnect"}

    async def take(message: Mapping[str, Any]) -> None:
        assert message["type"].startswith("http.response.")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": one.method,
        "path": one.path,
        "raw_path": one.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in one.headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await gateway.app(scope, receive, take)


def of_shape(series: set[tuple[str, Labels]]) -> set[tuple[str, Labels]]:
    """Series without what tells how it went."""
    return {(name, tuple(pair for pair in labels if pair[0] not in FACTS)) for name, labels in series}


async def test_random_requests_make_no_series_of_their_own(open_to_all: Gateway) -> None:
    """After 1,000 requests of any kind every series is declared; 1,000 more with other texts in them add none."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed: {seed}")  # noqa: T201 pytest shows it when this fails
    keys = [open_to_all.key, await open_to_all.key_of("beta"), ADMIN_TOKEN, "", "bw_nonsense", "\u6d77"]
    keys += [mint_api_key() for _ in range(UNKNOWN_KEYS)]
    templates = [route.path for route in open_to_all.app.routes]  # type: ignore[attr-defined] # all of ours have one
    configured: dict[Values, list[str]] = {
        ROUTES: [*templates, UNMATCHED],
        TIMED_ROUTES: [*templates, UNMATCHED, HELD],
        TENANTS: ["acme", "beta"],
        MODELS: [*open_to_all.resources.catalogue.models, UNLISTED],
        VERSIONS: [version("breakwater")],
    }
    metrics, seen = open_to_all.resources.metrics, []
    for filling in ("once", "again"):
        made = requests(random.Random(seed), random.Random(f"{seed} {filling}"), templates, keys)  # noqa: S311
        await send(open_to_all, made)
        assert undeclared(metrics, configured) == []
        seen.append(of_shape(series_of(metrics)))
    assert seen[1] - seen[0] == set()
    methods = {dict(labels).get("method") for name, labels in seen[0] if name == "breakwater_http_requests"}
    routes = {dict(labels).get("route") for name, labels in seen[0] if name == "breakwater_http_requests"}
    assert len(routes) > len(set(templates)) * 0.8, "most routes were asked for something"
    assert metrics.registry.get_sample_value(*STARTED), "some were real submissions"
    assert methods == {"GET", "POST", "PUT", "PATCH", "DELETE", "other"}
    text = metrics.exposition().decode()
    assert "bw_" not in text, "no key, and so nothing a caller wrote"
    assert ".example" not in text
