"""Whatever a receiver does: at least once, under one id, so many attempts at most, and by the schedule."""

import asyncio
import itertools
from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis

from service.domain.webhook_retries import JITTER, MAX_RETRY_AFTER_S, MIN_AFTER_OVERLOAD_S, SCHEDULE_S
from tests.integration.callbacks.post import Post, open_post
from tests.journeys.system import Callback

ANSWERS = st.sampled_from([204, 200, 299, 500, 503, 400, 404, 429, 302, 410])
DAYS = 4 * 86_400


class Story:
    """What a receiver answers to each attempt at each message, and when each came."""

    def __init__(self, answers: list[list[int]], clock: Any) -> None:
        self._answers = answers
        self._clock = clock
        self._place: dict[str, int] = {}
        self.attempts: dict[str, list[tuple[float, int, int]]] = defaultdict(list)

    def __call__(self, callback: Callback) -> int:
        """Answer, and note when, the attempt's number and the answer."""
        message = callback.headers["webhook-id"]
        answers = self._answers[self._place.setdefault(message, len(self._place)) % len(self._answers)]
        seen = self.attempts[message]
        status = answers[min(len(seen), len(answers) - 1)]
        seen.append((self._clock(), int(callback.headers["webhook-attempt"]), status))
        return status


def judge(attempts: list[tuple[float, int, int]], state: str) -> None:
    """One delivery's story is right."""
    assert [number for _, number, _ in attempts] == list(range(1, len(attempts) + 1))
    assert 1 <= len(attempts) <= len(SCHEDULE_S)
    statuses = [status for *_, status in attempts]
    assert not any(200 <= status < 300 or status == 410 for status in statuses[:-1]), "it was over before"
    if 200 <= statuses[-1] < 300:
        assert state == "delivered"
    else:
        assert state == "dead"
        assert statuses[-1] == 410 or len(attempts) == len(SCHEDULE_S)
    for number, ((before, _, status), (after, _, _)) in enumerate(itertools.pairwise(attempts), start=1):
        least = SCHEDULE_S[number] * (1 - JITTER)
        if status == 429:
            least = max(least, MIN_AFTER_OVERLOAD_S)
        assert after - before >= least
        assert after - before <= SCHEDULE_S[number] * (1 + JITTER) + MAX_RETRY_AFTER_S


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ANSWERS, min_size=1, max_size=9), min_size=1, max_size=4))
def test_any_receiver_is_served_by_the_rules(redis_url: str, answers: list[list[int]]) -> None:
    """Random answers to random attempts, over days on one clock."""
    with BlockingRedis.from_url(redis_url) as client:
        client.flushdb()
    asyncio.run(story(redis_url, answers))


async def story(redis_url: str, answers: list[list[int]]) -> None:
    """Make as many messages as there are lists of answers, let days pass, and judge every one."""
    async with open_post(redis_url) as post:
        await post.register(events=["prediction.completed"])
        told = Story(answers, post.clock)
        post.receiver.answer = told
        for _ in answers:
            await post.end()
        await post.deliver()
        while await due_within(post, DAYS):
            await post.deliver()
        deliveries = await post.deliveries()
        assert len(deliveries) == len(answers)
        disabled = any(status == 410 for attempts in told.attempts.values() for *_, status in attempts)
        for delivery in deliveries:
            attempts = told.attempts[delivery["webhook_id"]]
            if disabled and delivery["state"] == "dead":
                continue  # given up when another message's answer disabled the endpoint
            judge(attempts, delivery["state"])
            assert delivery["attempts"] == len(attempts)


async def due_within(post: Post, seconds: float) -> bool:
    """Let time pass until something is due; whether anything will be within so long."""
    next_due_s = (await post.resources.schedule.lease("deliver", 0, 25.0)).next_due_s
    if next_due_s is None or next_due_s > seconds:
        return False
    post.clock.now_s += next_due_s + 0.001
    return True
