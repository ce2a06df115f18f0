"""The account as operators see it, on the command line and over HTTP: limits, who waits, pausing and going on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from service.resources import open_resources
from service.settings import load_settings
from tests.integration.cli_calls import invoke, printed, refused, set_up
from tests.integration.http.gateway import Gateway, open_gateway, settings
from tests.integration.simulator.running import running_simulator

TOKEN: Final = "an-operators-token"


@pytest.fixture
async def gateway(redis_url: str) -> AsyncIterator[Gateway]:
    """A gateway with an operators' face before an account that allows one task at a time."""
    with running_simulator() as simulator:
        configuration = settings(redis_url, simulator.url, upstream_concurrency=1, admin_token=TOKEN)
        async with open_gateway(configuration) as gateway:
            yield gateway


async def ask(gateway: Gateway, method: str, path: str = "", **body: object) -> dict[str, object]:
    """What the operators' face answers about the account."""
    answer = await gateway.client.request(
        method,
        f"/admin/v1/upstream{path}",
        headers={"authorization": f"Bearer {TOKEN}"},
        **({"json": body} if body else {}),  # type: ignore[arg-type]
    )
    assert answer.status_code == 200, answer.text
    shown: dict[str, object] = answer.json()
    return shown


async def test_operators_see_who_waits(gateway: Gateway) -> None:
    """Limits as they are set and as they are, what is used, and whose submissions wait."""
    for prompt in ("first", "second", "third"):
        await gateway.submitted(prompt)
    shown = await ask(gateway, "GET")
    assert shown["limits"] == [
        {"name": "concurrency", "configured": 1, "now": 1, "used": 1},
        {"name": "videos_per_minute", "configured": None, "now": None, "used": 0},
        {"name": "images_per_minute", "configured": None, "now": None, "used": 0},
    ]
    assert (shown["waiting"], shown["waiting_by_tenant"]) == (2, {"acme": 2})
    assert (shown["paused_by"], shown["balance_usd"], shown["backing_off_until"]) == (None, None, None)
    assert (await gateway.client.get("/admin/v1/upstream")).status_code == 401


async def test_operators_pause_and_resume(gateway: Gateway) -> None:
    """While it is paused submissions are accepted and wait; the audit log has both."""
    paused = await ask(gateway, "POST", "/pause", why="maintenance")
    assert (paused["paused_by"], paused["paused_why"]) == ("operator", "maintenance")
    assert (await gateway.submitted())["status"] == "created"
    assert (await gateway.resources.queue.lease(10)).ids == ()
    resumed = await ask(gateway, "POST", "/resume")
    assert (resumed["paused_by"], resumed["waiting"]) == (None, 1)
    assert len((await gateway.resources.queue.lease(10)).ids) == 1
    entries = await gateway.resources.audit.newest(2)
    assert [(entry.actor, entry.action, entry.detail) for entry in entries] == [
        ("admin api", "upstream.resume", {}),
        ("admin api", "upstream.pause", {"why": "maintenance"}),
    ]
    wrong = await gateway.client.post(
        "/admin/v1/upstream/pause", json={"why": 5}, headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "why")


class TestCommand:
    """`breakwater upstream`."""

    @pytest.fixture(autouse=True)
    def environment(self, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What an operator has set, and a terminal wide enough for any table."""
        monkeypatch.setenv("COLUMNS", "250")
        set_up(monkeypatch, redis_url).setenv("BREAKWATER_UPSTREAM_TIER", "silver")

    def test_it_shows_the_account(self) -> None:
        """For people, and for scripts in the shape of the admin face."""
        shown = printed("upstream", "show")
        assert [(one["name"], one["configured"], one["now"]) for one in shown["limits"]] == [
            ("concurrency", 300, 300),
            ("videos_per_minute", 500, 500),
            ("images_per_minute", 500, 500),
        ]
        told = invoke("upstream", "show").stdout
        assert "not read yet" in told
        assert "Nothing waits." in told
        assert invoke("upstream").stdout == told

    def test_it_shows_the_limits_that_workers_go_by(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the operator's own shell has set."""

        async def tell() -> None:
            async with open_resources(load_settings()) as resources:
                await resources.watch_account.measure()

        asyncio.run(tell())
        monkeypatch.delenv("BREAKWATER_UPSTREAM_TIER")
        assert [one["now"] for one in printed("upstream", "show")["limits"]] == [300, 500, 500]

    def test_it_pauses_and_resumes(self) -> None:
        """Each answers where the account stands, and how to undo it."""
        told = invoke("upstream", "pause", "--why", "maintenance").stdout
        assert "Paused by operator" in told
        assert "breakwater upstream resume" in told
        assert printed("upstream", "show")["paused_why"] == "maintenance"
        assert printed("upstream", "resume")["paused_by"] is None
        assert "at most 200 characters" in refused("upstream", "pause", "--why", "x" * 201)

    def test_it_tells_the_balance(self) -> None:
        """As it was last read by a worker, and whether it is low."""

        async def note() -> None:
            async with open_resources(load_settings()) as resources:
                await resources.queue.note_balance(3_500_000, 1_800_000_000_000, low=True)

        asyncio.run(note())
        assert "Balance: $3.50 at 2027-01-15T08:00:00.000Z, which is low" in invoke("upstream", "show").stdout
