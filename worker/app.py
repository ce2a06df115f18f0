"""The worker process: resources, pools, arq under supervision, and their end in order."""

import asyncio
from functools import partial
from typing import Any, Final

import structlog
from arq import Worker, cron, func
from pydantic_core import from_json, to_json

from service.domain.errors import StoreUnavailable
from service.garbage import collect_rarely
from service.resources import Resources, connect_arq, measure_loop, open_resources, watch_redis
from service.server import stop_event
from service.settings import Settings
from service.stores import keys
from service.stores.keys import DueSet
from service.stores.work_schedule import WAKE
from service.upstream.client import READ_S
from worker.deliver_due import Deliver
from worker.metrics_port import metrics_port
from worker.reconcile import measure, reconcile
from worker.supervisor import supervise
from worker.sweep import read_balance, sweep
from worker.webhook_sender import TOTAL_S, WebhookSender
from worker.work_pool import Handle, WorkPool

POLL_LEASE_S: Final = READ_S + 10.0
DELIVER_LEASE_S: Final = TOTAL_S + 10.0
"""A lease is the longest operation and some: a dead worker's items are taken over when it ends."""

RETAIN_LEASE_S: Final = 20.0
RETAIN_CONCURRENCY: Final = 16
"""Looking after ended predictions is a few commands to Redis, and never urgent."""

JOB_TIMEOUT_S: Final = 15
"""arq restarts a dead worker's job this long plus 10 s later; a wake-up takes milliseconds."""

POLL_DELAY_S: Final = 0.05
"""How often arq looks for wake-ups: its default of half a second would be most of the notify lag."""

SWEEP_SECONDS: Final = frozenset(range(0, 60, 10))
"""When in a minute the sweep runs: lost work waits for 10 s at most."""

RECONCILE_MINUTES: Final = frozenset(range(0, 60, 5))
"""When in an hour the books are checked."""

Pools = dict[DueSet, WorkPool]

log = structlog.get_logger()


def build_pools(resources: Resources, sender: WebhookSender) -> Pools:
    """One pool for each due set."""
    settings = resources.settings
    deliver = Deliver(
        resources.deliveries,
        resources.encryption,
        resources.callbacks,
        sender,
        resources.schedule,
        resources.change_endpoint.disable,
        resources.metrics,
        settings.retry_scale,
        resources.clock,
    )

    def pool(due_set: DueSet, capacity: int, lease_s: float, handle: Handle) -> WorkPool:
        schedule = resources.schedule
        lease = partial(schedule.lease, due_set, lease_s=lease_s)
        return WorkPool(due_set, capacity, lease, schedule, handle, resources.metrics)

    return {
        "poll": pool("poll", settings.poll_concurrency, POLL_LEASE_S, resources.look),
        "deliver": pool("deliver", settings.deliver_concurrency, DELIVER_LEASE_S, deliver),
        "retain": pool("retain", RETAIN_CONCURRENCY, RETAIN_LEASE_S, resources.retain),
        "submit": WorkPool(
            "submit",
            settings.submit_concurrency,
            resources.queue.lease,
            resources.schedule,
            resources.submit_queued,
            resources.metrics,
        ),
    }


def _worker(resources: Resources, queue: str, **jobs: Any) -> Worker:
    """An arq worker as we run it: JSON, no results kept, no signal handling of its own."""
    return Worker(
        queue_name=queue,
        redis_pool=connect_arq(resources.settings),
        handle_signals=False,
        job_timeout=JOB_TIMEOUT_S,
        keep_result=0,
        poll_delay=POLL_DELAY_S,
        job_serializer=to_json,
        job_deserializer=from_json,
        log_results=False,
        **jobs,
    )


def wake_worker(resources: Resources, pools: Pools) -> Worker:
    """Build arq for the wake-ups: each fills one pool and returns at once."""

    async def wake(ctx: dict[Any, Any], due_set: DueSet) -> None:
        try:
            await asyncio.shield(pools[due_set].fill())  # a lease that was sent is worked on even if arq stops
        except StoreUnavailable as away:  # the sweep wakes again
            log.warning("wake-up in vain", due_set=due_set, reason=str(away))

    return _worker(resources, keys.QUEUE, functions=[func(wake, name=WAKE)])


def cron_worker(resources: Resources) -> Worker:
    """Build arq for the crons, in a queue of their own: a flood of wake-ups cannot hold them up."""

    async def run_sweep(ctx: dict[Any, Any]) -> None:
        await sweep(
            resources.schedule,
            resources.find_stuck,
            resources.watch_account,
            resources.measure_store,
            resources.metrics,
        )

    async def run_reconcile(ctx: dict[Any, Any]) -> None:
        await reconcile(resources.reconcile)

    async def run_measure(ctx: dict[Any, Any]) -> None:
        await measure(resources.reconcile.measure)

    async def run_endpoints(ctx: dict[Any, Any]) -> None:
        await measure(resources.measure_store.endpoints)

    async def run_balance(ctx: dict[Any, Any]) -> None:
        await read_balance(resources.watch_account)

    jobs = [
        # Every worker sweeps and measures for itself: a gauge that only one of them sets goes stale in the others.
        cron(run_sweep, name="sweep", second=set(SWEEP_SECONDS), unique=False, run_at_startup=True, keep_result=0),
        cron(run_reconcile, name="reconcile", minute=set(RECONCILE_MINUTES), second=35, timeout=300, keep_result=0),
        cron(run_balance, name="balance", second={10, 40}, run_at_startup=True, keep_result=0),
        cron(run_measure, name="measure", second={5, 20, 35, 50}, unique=False, run_at_startup=True, keep_result=0),
        cron(run_endpoints, name="endpoints", second={25}, unique=False, run_at_startup=True, keep_result=0),
    ]
    return _worker(resources, keys.CRON_QUEUE, cron_jobs=jobs)


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then drain within the configured bound. Raises `PortBusy`."""
    with stop_event() as stop:
        async with (
            open_resources(settings) as resources,
            WebhookSender() as sender,
            watch_redis(resources.redis_state),
            measure_loop(resources.metrics),
            metrics_port(
                settings.host,
                settings.worker_metrics_port,
                resources.metrics,
                lambda: resources.redis_state.ready and not stop.is_set(),
            ),
        ):
            pools = build_pools(resources, sender)
            collect_rarely()
            log.info("worker started", metrics_port=settings.worker_metrics_port)
            await asyncio.gather(
                supervise(lambda: wake_worker(resources, pools), stop),
                supervise(lambda: cron_worker(resources), stop),
            )
            log.info("worker draining", within_s=settings.drain_s)
            canceled = await asyncio.gather(*(pool.drain(settings.drain_s) for pool in pools.values()))
            if any(canceled):
                log.warning("work canceled; it falls due again when its lease ends", items=sum(canceled))
            resources.redis_state.require_right_key()
    log.info("worker stopped")
