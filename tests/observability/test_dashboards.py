"""Every panel shows something: a real system, a real Prometheus that scrapes it by the project's rules, every query."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from math import isnan
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from service.embedded_redis import embedded_server
from tests.journeys.conftest import receiver
from tests.journeys.system import Receiver, System
from tests.observability.exercise import SETTINGS, clients, exercise, register_receivers
from tests.observability.prometheus import Prometheus, running
from tests.waiting import wait_until
from tests.watched import Asked, asked, rules

__all__ = ["receiver"]

SPAN_S: Final = 60.0
"""How far back a panel looks here."""

HAPPENED: Final = (
    "max_over_time(breakwater_http_requests_in_flight[5m]) > 0",
    'breakwater_queued_submissions_total{result="sent"} > 0',
    'breakwater_predictions_ended_total{end="completed"} > 0',
    'breakwater_predictions_ended_total{end="failed"} > 0',
    'breakwater_predictions_ended_total{end="canceled"} > 0',
    'breakwater_quota_decisions_total{limit="budget", decision="refused"} > 0',
    'breakwater_endpoints_disabled_total{by="gone"} > 0',
    'breakwater_deliveries_ended_total{end="dead"} > 0',
    'breakwater_deliveries_ended_total{end="delivered"} > 0',
    "breakwater_dead_letters > 0",
    'breakwater_receiver_breaker_moves_total{move="opened"} > 0',
    "breakwater_upstream_balance_low > 0",
    "breakwater_notify_lag_seconds_count > 0",
    'breakwater_http_request_duration_seconds_count{route="held"} > 0',
    'breakwater_upstream_callbacks_total{outcome="forged"} > 0',
    'breakwater_authentications_total{result!="known"} > 0',
)
"""What the exercise brings about: without it a panel could show a flat line, and nobody would see that it is wrong."""


@asynccontextmanager
async def watched(directory: Path, **settings: str) -> AsyncIterator[tuple[System, Prometheus]]:
    """Gateway, worker and simulator on a Redis set as it must be, scraped, having done nothing yet."""
    with embedded_server(None, directory / "redis", appendonly=True) as redis_url:
        async with Redis.from_url(redis_url) as redis:
            await redis.config_set("maxmemory", "256mb")
        async with System(directory, redis_url, **settings) as system:
            await system.start_simulator()
            await system.start_gateway()
            await system.start_worker()
            targets = {"breakwater-gateway": system.gateway_port, "breakwater-worker": system.worker_port}
            async with running(directory, targets) as prometheus:
                await none_left(lambda: unscraped(prometheus, targets), 20.0)
                yield system, prometheus


async def none_left(find: Callable[[], Awaitable[list[str]]], timeout_s: float) -> None:
    """Wait until nothing is found any more; what is found at the end of that time fails by name."""
    left: list[str] = []

    async def none() -> bool:
        left[:] = await find()
        return not left

    with suppress(AssertionError):
        await wait_until(none, timeout_s=timeout_s, what="nothing is left")
    assert left == []


async def unscraped(prometheus: Prometheus, jobs: Iterable[str]) -> list[str]:
    """The jobs that Prometheus has not reached yet."""
    return [job for job in jobs if not await prometheus.values(f'up{{job="{job}"}} == 1')]


async def missing(prometheus: Prometheus) -> list[str]:
    """What the exercise was to bring about and Prometheus has not seen."""
    return [expr for expr in HAPPENED if not await prometheus.values(expr)]


async def empty(prometheus: Prometheus, queries: list[Asked]) -> list[str]:
    """The queries that answer with no number, which are asked again the next time. An error fails at once."""
    found = []
    for query in queries:
        values = await prometheus.values(query.with_variables(), 0.0 if query.instant else SPAN_S)
        if all(isnan(value) for value in values):
            found.append(query)
    queries[:] = found
    return [f"{query.dashboard}: {query.panel}: {query.expr}" for query in found]


async def unrecorded(prometheus: Prometheus) -> list[str]:
    """The recording rules that have no number to show."""
    names = sorted({rule.record for rule in rules() if rule.record})
    return [name for name in names if all(isnan(value) for value in await prometheus.values(name))]


async def ill(prometheus: Prometheus) -> list[str]:
    """The rules that cannot be evaluated, and what alerts say that could not be put into words."""
    groups = (await prometheus.get("rules"))["groups"]
    found = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]
    for alert in (await prometheus.get("alerts"))["alerts"]:
        found += [text for text in alert["annotations"].values() if "error" in text.lower() and "budget" not in text]
    return found


@pytest.mark.timeout(90)
async def test_every_panel_shows_something(tmp_path: Path, receiver: Receiver) -> None:
    """After some seconds of everything there is, no panel's query is an error, empty, or nothing but NaN; nor is any
    recording rule. What is wrong has set off the alert that is there for it.
    """
    async with watched(tmp_path, **SETTINGS) as (system, prometheus), clients(system) as (acme, zenith):
        await register_receivers(acme, receiver)
        await exercise(system, acme, zenith, receiver)
        await none_left(lambda: missing(prometheus), 40.0)
        queries = list(asked())
        assert len(queries) > 90
        await none_left(lambda: empty(prometheus, queries), 25.0)
        await none_left(lambda: unrecorded(prometheus), 10.0)
        assert await prometheus.values('ALERTS{alertname="BreakwaterEndpointDisabled", alertstate="firing"}') == [1]
        assert await prometheus.values('ALERTS{alertname="BreakwaterUpstreamBalanceLow"}') == [1]
        assert await ill(prometheus) == []


async def test_a_fresh_and_idle_system_sets_nothing_off(tmp_path: Path) -> None:
    """Nothing was ever submitted: once its worker has looked around, no alert fires, and none is on its way to."""
    async with watched(tmp_path) as (_, prometheus):

        async def unread() -> list[str]:
            seen = await prometheus.values("count_over_time((breakwater_redis_append_only == 1)[1m:1s]) > 4")
            return [] if seen else ["Redis' settings, some times"]

        await none_left(unread, 20.0)
        data = await prometheus.get("query", query="ALERTS")
        assert [series["metric"] for series in data["result"]] == []
        assert await ill(prometheus) == []
