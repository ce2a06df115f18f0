"""WHERE A POLL OR DELIVERY IS SCHEDULED: due sets remember what is owed, arq only wakes the workers.

A due set is a sorted set of ids by due time: of predictions, or of lanes, each of which holds the deliveries of one
receiver. A wake-up is one arq job for one 250 ms slot of one due set, however many
items fall due in it; its id is `wake:{set}:{slot}`, so the same slot is enqueued once. The slot is always in the
future, because arq refuses an id while its job runs. Losing every arq key only delays work until the next sweep.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal

import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from service.domain.polling import Running
from service.domain.predictions import State
from service.metrics import Metrics
from service.stores import keys
from service.stores.commands import Commands
from service.stores.keys import DueSet
from service.stores.scripts import Scripts

DUE_SETS: Final[tuple[DueSet, ...]] = ("poll", "deliver", "retain", "submit")

SLOT_MS: Final = 250
"""Length of a wake-up slot: how late, at most, a due item is noticed because of slots."""

WAKE: Final = "wake"
"""Name of the only job; its argument is the due set."""

_LANES_COUNTED: Final = 10_000
_REMEMBERED_SLOTS: Final = 4_096
_MAX_ENQUEUING: Final = 256
_EXPIRES_EXTRA_S: Final = 300
_CLOSE_WITHIN_S: Final = 2.0

_OF_RUNNING: Final = '["state","upstream_id","model","started_at_ms","poll_failures"]'
_PROCESSING: Final = State.PROCESSING.encode()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Leased:
    """Items leased under one token, and when the next one falls due (None: nothing is owed).

    `running` tells of those among predictions due for a look that run upstream.
    """

    token: str
    ids: tuple[str, ...]
    next_due_s: float | None
    running: Mapping[str, Running] = field(default_factory=dict)

    def handed_out(self) -> list[tuple[str, str] | tuple[str, str, Running]]:
        """What is handed to whoever works on each: its id, the token, and what is known of one that runs."""
        if not self.running:
            return [(item, self.token) for item in self.ids]
        known = self.running
        return [(item, self.token, known[item]) if item in known else (item, self.token) for item in self.ids]


@dataclass(frozen=True, slots=True)
class Owed:
    """How much a due set holds, and for how long its oldest item has been due (0 when none is)."""

    items: int
    oldest_due_age_s: float


def _leased(
    token: bytes, next_due_ms: bytes, ids: list[Any], running: Mapping[str, Running] = MappingProxyType({})
) -> Leased:
    """What a script leased."""
    next_due_s = int(next_due_ms) / 1000 if next_due_ms else None
    return Leased(token.decode(), tuple(item.decode() for item in ids), next_due_s, running)


def slot_after(due_ms: float, now_ms: float) -> int:
    """The first slot that begins strictly after both the due time and now."""
    return int(max(due_ms, now_ms)) // SLOT_MS + 1


class WorkSchedule:
    """Due sets and wake-ups. `clock` gives unix seconds.

    `reads_per_s` bounds, over all processes, how many looks at the upstream are leased a second; None does not.
    `places` is how many deliveries of one lane may be leased at a time.
    """

    def __init__(
        self,
        commands: Commands,
        scripts: Scripts,
        arq: ArqRedis,
        metrics: Metrics,
        clock: Callable[[], float],
        now_ms: Callable[[], int] | None = None,
        reads_per_s: int | None = None,
        places: int = 8,
    ) -> None:
        self._commands = commands
        self._scripts = scripts
        self._arq = arq
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self.reads_per_s = reads_per_s
        self._places = places
        self._enqueued: OrderedDict[str, None] = OrderedDict()
        self._enqueuing: set[asyncio.Task[None]] = set()

    async def lease(self, due_set: DueSet, limit: int, lease_s: float) -> Leased:
        """Lease up to `limit` due items for `lease_s`; they fall due again by themselves if nobody completes them."""
        if due_set == "deliver":
            return await self._lease_deliveries(limit, lease_s)
        assert due_set != "submit"  # noqa: S101 what waits for capacity is taken out by `SubmissionQueue`
        rate = self.reads_per_s if due_set == "poll" else None
        token, next_due_ms, *items = await self._scripts.run(
            "lease_due",
            keys=[keys.due(due_set), keys.UPSTREAM_READS] if rate else [keys.due(due_set)],
            args=[
                limit,
                int(lease_s * 1000),
                "" if self._now_ms is None else self._now_ms(),
                *((keys.PREDICTION_PREFIX, _OF_RUNNING) if due_set == "poll" else ("", "")),
                *((1_000_000 // rate, max(1, rate * SLOT_MS // 1000)) if rate else ()),
            ],
        )
        if due_set != "poll":
            return _leased(token, next_due_ms, items)
        running = {
            item.decode(): Running(upstream_id.decode(), model.decode(), int(started_at_ms or 0), int(failures or 0))
            for item, state, upstream_id, model, started_at_ms, failures in items
            if state == _PROCESSING and upstream_id
        }
        return _leased(token, next_due_ms, [item[0] for item in items], running)

    async def _lease_deliveries(self, limit: int, lease_s: float) -> Leased:
        """Lease deliveries from the lanes that have any."""
        token, next_due_ms, *ids = await self._scripts.run(
            "lease_deliveries",
            keys=[keys.due("deliver")],
            args=[
                limit,
                int(lease_s * 1000),
                "" if self._now_ms is None else self._now_ms(),
                self._places,
                keys.LANE_PREFIX,
                keys.DELIVERY_PREFIX,
                keys.DELIVERY_MS,
            ],
        )
        return _leased(token, next_due_ms, ids)

    async def put_back(
        self,
        due_set: Literal["poll", "retain"],
        item_id: str,
        token: str,
        delay_s: float | None,
        noted: Mapping[str, int] | None = None,
    ) -> bool:
        """Have a leased prediction fall due again after `delay_s`, or never when None; `noted` is set in its record.

        False when the lease was lost: then somebody else looks after the item.
        """
        kept = await self._scripts.run(
            "put_back",
            keys=[keys.due(due_set), keys.prediction(item_id)],
            args=[
                item_id,
                token,
                "" if delay_s is None else int(delay_s * 1000),
                "" if self._now_ms is None else self._now_ms(),
                *[part for pair in (noted or {}).items() for part in pair],
            ],
        )
        if not kept:
            self._metrics.leases_lost.labels(due_set).inc()
        elif delay_s is not None:
            self.wake(due_set, delay_s)
        return bool(kept)

    async def ensure(self, due_set: Literal["poll", "retain"], item_id: str) -> bool:
        """Have an item fall due now if the due set does not hold it at all; whether it was missing."""
        score = int(self._clock() * 1000)
        return bool(await self._commands("ZADD", keys.due(due_set), "NX", score, item_id))

    async def owed(self, due_set: DueSet) -> Owed:
        """Count a due set and the age of its oldest due item; of deliveries, of the lane that waits longest."""
        items, oldest = await asyncio.gather(
            self._commands("ZCARD", keys.due(due_set)),
            self._commands("ZRANGE", keys.due(due_set), 0, 0, "WITHSCORES"),
        )
        age_s = self._clock() - float(oldest[1]) / 1000 if oldest else 0.0
        return Owed(items, max(0.0, age_s))

    async def lanes_owed(self) -> tuple[int, int]:
        """How many deliveries are pending, and how many receivers' breakers are open."""
        pending, broken = await self._scripts.run(
            "lanes_owed", keys=[keys.due("deliver")], args=[keys.LANE_PREFIX, _LANES_COUNTED]
        )
        return int(pending), int(broken)

    def wake(self, due_set: DueSet, delay_s: float) -> None:
        """Have a worker look at `due_set` when `delay_s` has passed.

        Never blocks and never fails: the enqueueing goes on in the background, and what is lost is found by the sweep.
        """
        now_ms = self._clock() * 1000
        slot = slot_after(now_ms + delay_s * 1000, now_ms)
        job_id = f"wake:{due_set}:{slot}"
        if job_id in self._enqueued:
            return
        if len(self._enqueuing) >= _MAX_ENQUEUING:  # Redis hardly answers: the sweep will find what is due
            self._metrics.wakeups_lost.labels(due_set).inc()
            return
        self._enqueued[job_id] = None
        while len(self._enqueued) > _REMEMBERED_SLOTS:
            self._enqueued.popitem(last=False)
        task = asyncio.create_task(self._enqueue(due_set, job_id, slot * SLOT_MS / 1000))
        self._enqueuing.add(task)
        task.add_done_callback(self._enqueuing.discard)

    async def _enqueue(self, due_set: DueSet, job_id: str, at_s: float) -> None:
        """Enqueue one wake-up; a failure is counted and left to the sweep."""
        try:
            await self._arq.enqueue_job(
                WAKE,
                due_set,
                _job_id=job_id,
                _queue_name=keys.QUEUE,
                _defer_until=datetime.fromtimestamp(at_s, UTC),
                _expires=max(0.0, at_s - self._clock()) + _EXPIRES_EXTRA_S,
            )
        except (RedisError, OSError, TimeoutError) as error:
            self._enqueued.pop(job_id, None)
            self._metrics.wakeups_lost.labels(due_set).inc()
            log.warning("wake-up not enqueued", due_set=due_set, error=type(error).__name__)

    async def aclose(self) -> None:
        """Wait a moment for wake-ups being enqueued; the sweep makes up for the rest."""
        if self._enqueuing:
            _, late = await asyncio.wait(set(self._enqueuing), timeout=_CLOSE_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
