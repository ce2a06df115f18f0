"""Each limit over HTTP on both faces: what is refused and how, what is told, and what is left behind."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest
from redis.asyncio import Redis

from tests.integration.http.gateway import posts_seen
from tests.integration.http.timed import FACES, PRICE_USD, Face, Timed, contents, id_of, open_timed, success, told
from tests.integration.simulator.running import Running

TO_MIDNIGHT_S: Final = 16 * 3600
MONTH_S: Final = 31 * 86_400
TO_MONTH_END_S: Final = 16 * 86_400 + TO_MIDNIGHT_S

on_both_faces = pytest.mark.parametrize("face", FACES)


@dataclass(frozen=True, slots=True)
class Case:
    """A limit that lets one submission through, and how the next is refused at 2027-01-15 08:00 UTC."""

    name: str
    limits: dict[str, Any]
    status: int
    policy: str
    resets_s: int
    lowered: dict[str, Any]
    raised: dict[str, Any]


CASES: Final = (
    Case(
        "rate",
        {"rate_per_minute": 2, "burst": 1},
        429,
        "q=1;w=30",
        30,
        {"rate_per_minute": 2, "burst": 1},
        {"rate_per_minute": 60},
    ),
    Case(
        "concurrency",
        {"concurrency": 1},
        429,
        'q=1;qu="concurrent-requests"',
        5,
        {"concurrency": 0},
        {"concurrency": 8},
    ),
    Case("daily", {"daily": 1}, 429, "q=1;w=86400", TO_MIDNIGHT_S, {"daily": 0}, {"daily": 8}),
    Case("monthly", {"monthly": 1}, 429, f"q=1;w={MONTH_S}", TO_MONTH_END_S, {"monthly": 0}, {"monthly": 8}),
    Case(
        "budget",
        {"budget_usd": PRICE_USD},
        402,
        f'q=400000;qu="micro-dollars";w={MONTH_S}',
        TO_MONTH_END_S,
        {"budget_usd": "0"},
        {"budget_usd": "8"},
    ),
)
of_each_limit = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
EVERY_LIMIT: Final[dict[str, Any]] = {"concurrency": 1, "daily": 1, "monthly": 1, "budget_usd": PRICE_USD}


@pytest.fixture
async def timed(redis_url: str, simulator: Running) -> AsyncIterator[Timed]:
    """A gateway on a clock that stands still."""
    async with open_timed(redis_url, simulator) as timed:
        yield timed


def limit_headers(answer: httpx2.Response) -> tuple[str, str]:
    """The two header fields of limits."""
    return answer.headers["ratelimit-policy"], answer.headers["ratelimit"]


@on_both_faces
@of_each_limit
async def test_a_limit_refuses_what_is_over_it(timed: Timed, simulator: Running, face: Face, case: Case) -> None:
    """The status, the limit, what is left and when to come back; on the success before it as well."""
    await timed.gateway.limit(**case.limits)
    fields = (f'"{case.name}";{case.policy}', f'"{case.name}";r=0;t={case.resets_s}')
    first = await timed.accepted(face)
    assert limit_headers(first) == fields
    assert "retry-after" not in first.headers
    refused = await timed.post(face)
    message = told(face, refused, case.status)
    assert limit_headers(refused) == fields
    assert refused.headers["retry-after"] == str(case.resets_s)
    assert case.name in message
    assert " left" in message
    assert f"try again in {case.resets_s} s" in message
    assert posts_seen(simulator) == 1


@of_each_limit
async def test_a_problem_names_the_violated_policies(timed: Timed, case: Case) -> None:
    """As the RateLimit draft has it, beside the members that every problem has."""
    await timed.gateway.limit(**case.limits)
    await timed.accepted("native")
    problem = (await timed.post("native")).json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == [case.name]
    assert (problem["code"], problem["retryable"]) == (
        "budget_exceeded" if case.name == "budget" else "quota_exceeded",
        True,
    )


@on_both_faces
async def test_every_limit_that_refuses_is_named(timed: Timed, face: Face) -> None:
    """Money decides the status, the latest reset decides when to come back, and each limit that is set is shown."""
    await timed.gateway.limit(**EVERY_LIMIT, rate_per_minute=60)
    await timed.accepted(face)
    refused = await timed.post(face)
    message = told(face, refused, 402)
    refusing = ["concurrency", "daily", "monthly", "budget"]
    assert all(name in message for name in refusing)
    assert "rate limit" not in message
    assert refused.headers["retry-after"] == str(TO_MONTH_END_S)
    assert [part.partition(";")[0] for part in refused.headers["ratelimit"].split(", ")] == [
        f'"{name}"' for name in ("rate", *refusing)
    ]
    if face == "native":
        assert refused.json()["violated-policies"] == refusing


@on_both_faces
@of_each_limit
async def test_a_refusal_writes_nothing(timed: Timed, redis: Redis, simulator: Running, face: Face, case: Case) -> None:
    """Redis holds exactly what it held before, also when a key was given along; the upstream hears nothing."""
    await timed.gateway.limit(
        **EVERY_LIMIT | {"daily": 5, "monthly": 5, "concurrency": 5, "budget_usd": "9"} | case.limits
    )
    await timed.accepted(face)
    before = await contents(redis)
    for _ in range(3):
        told(face, await timed.post(face, idempotency_key="again"), case.status)
    assert await contents(redis) == before
    assert posts_seen(simulator) == 1
    assert timed.decisions(case.name)["refused"] == 3


@on_both_faces
async def test_no_limits_no_limit_headers(timed: Timed, face: Face) -> None:
    """A tenant without limits is told of none."""
    answer = await timed.accepted(face)
    assert not {"ratelimit", "ratelimit-policy", "retry-after"} & set(answer.headers)


@on_both_faces
@of_each_limit
async def test_a_changed_limit_acts_on_the_next_submission(
    timed: Timed, simulator: Running, face: Face, case: Case
) -> None:
    """Both ways, while the key's cached answer still knows the old tenant."""
    await timed.accepted(face)
    await timed.gateway.limit(**case.lowered)
    if case.name == "rate":  # a rate begins to count with the first submission it sees
        await timed.accepted(face)
    told(face, await timed.post(face), case.status)
    await timed.gateway.limit(**case.raised)
    await timed.accepted(face)
    await timed.gateway.limit()
    assert "ratelimit" not in (await timed.accepted(face)).headers
    assert len(timed.gateway.resources.authenticate.cache) == 1
    assert posts_seen(simulator) == (4 if case.name == "rate" else 3)


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "concurrency"], ids=lambda case: case.name)
async def test_retry_after_is_the_truth(timed: Timed, case: Case) -> None:
    """A second before, the next submission is refused still; at the time itself it is not."""
    await timed.gateway.limit(**case.limits)
    await timed.accepted()
    timed.clock.advance(case.resets_s - 1)
    refused = await timed.post("wavespeed")
    assert (refused.status_code, refused.headers["retry-after"]) == (case.status, "1")
    timed.clock.advance(1)
    await timed.accepted()


async def test_an_end_frees_the_slot(timed: Timed) -> None:
    """However a prediction ends, the next one may be submitted."""
    await timed.gateway.limit(concurrency=1)
    first = await timed.accepted()
    told("wavespeed", await timed.post("wavespeed"), 429)
    await timed.end(id_of("wavespeed", first))
    second = await timed.accepted()
    await timed.end(id_of("wavespeed", second), "failed")
    await timed.accepted()


@on_both_faces
@of_each_limit
async def test_a_limit_in_shadow_counts_and_refuses_nothing(
    timed: Timed, simulator: Running, face: Face, case: Case
) -> None:
    """Submissions pass, the header fields say that nothing is left, the metric what would have been refused."""
    await timed.gateway.limit(**case.limits, shadow=[case.name])
    for _ in range(3):
        answer = await timed.accepted(face)
        assert f'"{case.name}";r=0;' in answer.headers["ratelimit"]
    assert timed.decisions(case.name) == {"near": 1, "shadow": 2}
    exposed = (await timed.gateway.client.get("/metrics")).text
    sample = f'breakwater_quota_decisions_total{{decision="shadow",limit="{case.name}",tenant="acme"}} 2.0'
    assert sample in exposed.splitlines()
    assert posts_seen(simulator) == 3


async def test_a_limit_in_shadow_does_not_hide_another(timed: Timed) -> None:
    """Only the one that is not in shadow refuses and is named."""
    await timed.gateway.limit(daily=1, monthly=1, shadow=["daily"])
    await timed.accepted("native")
    refused = await timed.post("native")
    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["monthly"])
    assert timed.decisions("daily") == {"near": 1, "shadow": 1}


async def test_use_of_80_percent_is_near(timed: Timed) -> None:
    """The metric tells it apart from plenty and from a refusal, for each limit on its own."""
    await timed.gateway.limit(daily=5, monthly=100)
    statuses = [(await timed.post("wavespeed")).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert timed.decisions("daily") == {"ok": 3, "near": 2, "refused": 1}
    assert timed.decisions("monthly") == {"ok": 6}


@on_both_faces
@pytest.mark.parametrize(
    ("models", "allowed"),
    [
        (["openai/sora-2"], True),
        (["vendor/x", "openai/*"], True),
        (["*"], True),
        (["*sora*"], True),
        ([], False),
        (["openai/sora"], False),
        (["openai/sora-2-pro"], False),
        (["ora-2"], False),
        (["openai/sora.2"], False),
        (["vendor/*"], False),
    ],
)
async def test_only_allowed_models_may_be_used(
    timed: Timed, redis: Redis, simulator: Running, face: Face, models: list[str], allowed: bool
) -> None:
    """403 for any other, from the next submission on, with nothing written and nothing sent."""
    await timed.accepted(face)
    await timed.operator.put("/admin/v1/tenants/acme", json={"models": models})
    before = await contents(redis)
    answer = await timed.post(face)
    if allowed:
        assert answer.status_code == success(face)
        return
    assert "may not use model openai/sora-2" in told(face, answer, 403)
    assert await contents(redis) == before
    assert posts_seen(simulator) == 1


@on_both_faces
@pytest.mark.parametrize(("prompt", "status"), [("[sim:submit=400]", 400), ("[sim:submit=401]", 503)])
async def test_a_refusal_by_the_upstream_gives_everything_back(
    timed: Timed, simulator: Running, face: Face, prompt: str, status: int
) -> None:
    """Count, slot and money: the next submission finds the limits untouched, and the ledger says released."""
    await timed.gateway.limit(**EVERY_LIMIT)
    told(face, await timed.post(face, prompt), status)
    ledger = await timed.gateway.resources.ledger.ledger("acme", "2027-01")
    assert (ledger.held, ledger.settled, ledger.released, ledger.ever_held) == (0, 0, 400_000, 400_000)
    assert (ledger.admitted, ledger.admitted_by_day) == (0, {"2027-01-15": 0})
    await timed.gateway.resources.queue.resume()  # what refuses the account pauses it
    assert "r=0" in (await timed.accepted(face)).headers["ratelimit"]
    told(face, await timed.post(face), 402)
    assert simulator.seen()["paid_submissions"] == 1


@on_both_faces
async def test_a_price_follows_the_inputs(timed: Timed, face: Face) -> None:
    """A longer video is held at its own price, and refused when that is more than is left."""
    await timed.gateway.limit(budget_usd="1.50")
    assert "r=300000;" in (await timed.accepted(face, duration=12)).headers["ratelimit"]
    assert "$0.30 left" in told(face, await timed.post(face, duration=4), 402)
    await timed.accepted(face, duration=3)
