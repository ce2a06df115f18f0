"""Opens Redis, the upstream and the metrics, and builds the use cases: gateway, worker and command line start here."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from arq.connections import ArqRedis
from prometheus_client import CollectorRegistry
from pydantic_core import from_json, to_json
from redis.asyncio import Redis

from service.domain.callback_address import CallbackPolicy
from service.domain.callback_ids import CallbackIds
from service.domain.catalogue import Catalogue
from service.domain.catalogue_file import BadCatalogue, read_catalogue
from service.domain.circuit_breaker import CircuitBreaker
from service.domain.money import micros
from service.domain.polling import Patience
from service.domain.tenants_file import BadTenantsFile, WrittenTenant, check_callbacks, read_tenants_file
from service.domain.timetable import Timetable
from service.metrics import Metrics
from service.metrics.loop_lag import watch_loop
from service.settings import PREFIX, BadSetting, Settings
from service.stores import keys
from service.stores.abandoned import Abandoned
from service.stores.api_key_store import ApiKeyStore
from service.stores.audit_log import AuditLog
from service.stores.books import Books
from service.stores.commands import Commands
from service.stores.connections import connect, known_nodes
from service.stores.delivery_log import DeliveryLog
from service.stores.encryption import Encryption
from service.stores.endpoint_store import EndpointStore
from service.stores.event_feed import EventFeed
from service.stores.event_log import EventLog
from service.stores.holdings import Holdings
from service.stores.lane_health import LaneHealth
from service.stores.prediction_list import PredictionList
from service.stores.prediction_store import PredictionStore
from service.stores.quota_ledger import QuotaLedger
from service.stores.redis_state import RedisState
from service.stores.scripts import Scripts
from service.stores.server_clock import ServerClock
from service.stores.submission_queue import SubmissionQueue
from service.stores.tenant_store import TenantStore
from service.stores.upstream_secrets import UpstreamSecretStore
from service.stores.work_schedule import WorkSchedule
from service.upstream.client import SUBMIT_OVER_S, WaveSpeed, connect_upstream
from service.upstream.key import UpstreamKey
from service.upstream.outputs import Outputs, connect_outputs
from service.upstream.task_list import TaskList
from service.upstream.uploads import Uploads
from service.usecases.administer import Administer
from service.usecases.apply_tenants import ApplyTenants
from service.usecases.authenticate import Authenticate
from service.usecases.await_end import AwaitEnd
from service.usecases.cancel import Cancel
from service.usecases.change_endpoint import ChangeEndpoint
from service.usecases.delete import Delete
from service.usecases.estimate_start import EstimateStart
from service.usecases.find_stuck import FindStuck
from service.usecases.find_task import FindTask
from service.usecases.look import Look
from service.usecases.measure_store import MeasureStore
from service.usecases.pause_account import PauseAccount
from service.usecases.receive_callback import ReceiveCallback
from service.usecases.reconcile import Reconcile
from service.usecases.reencrypt import Reencrypt
from service.usecases.register_endpoint import RegisterEndpoint
from service.usecases.report_usage import ReportUsage
from service.usecases.resend import Resend
from service.usecases.retain import Retain
from service.usecases.start import Start
from service.usecases.submit import Submit
from service.usecases.submit_queued import SubmitQueued
from service.usecases.take_over import TakeOver
from service.usecases.transition import Transition
from service.usecases.try_endpoint import TryEndpoint
from service.usecases.verify_callback import VerifyCallback
from service.usecases.watch_account import WatchAccount

UPSTREAM_CALLBACKS: Final = "/callbacks/wavespeed/"
"""Where WaveSpeed calls back; the signed id of a prediction follows."""

_BREAKER_S: Final = 30.0
"""Within how many seconds five failed reads stop them, and for how long."""

_LEAST_SEARCH_S: Final = 40.0
"""How long an unconfirmed submission is looked for at least, however fast everything else is made."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything one process works with, built once."""

    settings: Settings
    clock: Callable[[], float]
    metrics: Metrics
    catalogue: Catalogue
    callbacks: CallbackPolicy
    encryption: Encryption
    commands: Commands
    redis_state: RedisState
    arq: ArqRedis
    schedule: WorkSchedule
    predictions: PredictionStore
    prediction_list: PredictionList
    ledger: QuotaLedger
    tenants: TenantStore
    keys: ApiKeyStore
    audit: AuditLog
    endpoints: EndpointStore
    deliveries: DeliveryLog
    events: EventLog
    feed: EventFeed
    lane_health: LaneHealth
    upstream: WaveSpeed
    uploads: Uploads
    outputs: Outputs
    authenticate: Authenticate
    administer: Administer
    apply_tenants: ApplyTenants
    report_usage: ReportUsage
    reconcile: Reconcile
    register_endpoint: RegisterEndpoint
    change_endpoint: ChangeEndpoint
    try_endpoint: TryEndpoint
    resend: Resend
    submit: Submit
    submit_queued: SubmitQueued
    queue: SubmissionQueue
    estimate_start: EstimateStart
    pause_account: PauseAccount
    watch_account: WatchAccount
    await_end: AwaitEnd
    take_over: TakeOver
    cancel: Cancel
    delete: Delete
    look: Look
    retain: Retain
    find_stuck: FindStuck
    measure_store: MeasureStore
    reencrypt: Reencrypt
    callback_ids: CallbackIds | None
    receive_callback: ReceiveCallback
    verify_callback: VerifyCallback


def read_models(settings: Settings) -> Catalogue:
    """The catalogue of these settings. Raises `BadSetting` when the operator's file cannot be read."""
    try:
        extra = settings.models_file.read_text("utf-8") if settings.models_file else ""
        unlisted_usd = settings.unlisted_price_usd if settings.unlisted_models == "allow" else None
        return read_catalogue(extra, poll_scale=settings.poll_scale, unlisted_usd=unlisted_usd)
    except (OSError, UnicodeDecodeError, BadCatalogue) as error:
        raise BadSetting(f"{PREFIX}MODELS_FILE: {error}") from None


def read_tenants(settings: Settings) -> list[WrittenTenant]:
    """The tenants of the settings' file. Raises `BadSetting` when it cannot be read or used."""
    if settings.tenants_file is None:
        return []
    try:
        written = read_tenants_file(settings.tenants_file.read_text("utf-8"))
        check_callbacks(written, CallbackPolicy.parse(settings.callback_allow))
    except (OSError, UnicodeDecodeError, BadTenantsFile) as error:
        raise BadSetting(f"{PREFIX}TENANTS_FILE: {error}") from None
    return written


def connect_redis(settings: Settings, max_connections: int) -> Redis:
    """Open a client of the configured Redis, wherever the sentinels say it is."""
    return connect(
        settings.redis_url.get_secret_value(),
        max_connections=max_connections,
        sentinels=settings.sentinels,
        master=settings.redis_master,
    )


def connect_arq(settings: Settings) -> ArqRedis:
    """Open arq's own connection pool: apart from the coalesced commands, JSON instead of pickle."""
    return ArqRedis(
        connect_redis(settings, 8).connection_pool,
        job_serializer=to_json,
        job_deserializer=from_json,
        default_queue_name=keys.QUEUE,
    )


async def _own_addresses(settings: Settings) -> frozenset[tuple[str, int]]:
    """Where our own Redis is, and its sentinels, by name and by address: no callback may ever go there."""
    redis = urlsplit(settings.redis_url.get_secret_value())
    named = [(redis.hostname or "localhost", redis.port or 6379)]
    if settings.sentinels:
        named = [*settings.sentinels, *await known_nodes(settings.sentinels, settings.redis_master)]
    own = set(named)
    for host, port in named:
        # What is not to be resolved, or not yet, is denied by its name all the same.
        with suppress(OSError, UnicodeError):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            own |= {(str(address[4][0]), port) for address in found}
    return frozenset(own)


def _callback_ids(settings: Settings) -> CallbackIds | None:
    """Signs our ids in the addresses WaveSpeed calls back; None without a key to do so."""
    return CallbackIds([key.get_secret_value() for key in settings.signing_key]) if settings.signing_key else None


def _upstream_callback(settings: Settings, ids: CallbackIds | None) -> Callable[[str], str]:
    """The address WaveSpeed is to call back about a prediction, "" where it is not to."""
    if settings.upstream_webhooks == "off" or ids is None:
        return lambda _: ""
    return lambda prediction_id: f"{settings.base_url}{UPSTREAM_CALLBACKS}{ids.sign(prediction_id)}"


def _timetable(settings: Settings, catalogue: Catalogue) -> Timetable:
    """When to look at what."""
    # A submission is never given up before it was looked for at least a few times.
    patience = Patience().scaled(settings.poll_scale, SUBMIT_OVER_S + _LEAST_SEARCH_S)
    return Timetable(catalogue, patience, settings.output_expiring_s, settings.upstream_webhooks == "on")


def _stop_process() -> None:
    """End this process in order."""
    os.kill(os.getpid(), signal.SIGTERM)


@asynccontextmanager
async def open_resources(
    settings: Settings, given_clock: Callable[[], float] | None = None, shared_metrics: Path | None = None
) -> AsyncIterator[Resources]:
    """Open everything; Redis and WaveSpeed need not be up yet. Closes in reverse order.

    All goes by the Redis server's clock, or by the given one, which a test moves. `shared_metrics` is where several
    processes put theirs together.
    """
    server_clock = ServerClock(time.time)
    clock = given_clock or server_clock
    now_ms = (lambda: int(clock() * 1000)) if given_clock else None
    metrics = Metrics(CollectorRegistry(), version("breakwater"), shared_metrics)
    catalogue = read_models(settings)
    callbacks = CallbackPolicy.parse(settings.callback_allow, await _own_addresses(settings))
    encryption = Encryption([key.get_secret_value() for key in settings.encryption_key])
    async with AsyncExitStack() as stack:
        redis = connect_redis(settings, 16)
        stack.push_async_callback(redis.aclose)
        arq = connect_arq(settings)
        stack.push_async_callback(arq.aclose, close_connection_pool=True)
        commands = Commands(redis)
        stack.push_async_callback(commands.aclose)
        scripts = Scripts(commands)
        places = settings.endpoint_concurrency
        schedule = WorkSchedule(commands, scripts, arq, metrics, clock, now_ms, settings.upstream_reads_per_s, places)
        stack.push_async_callback(schedule.aclose)
        upstream = await stack.enter_async_context(
            connect_upstream(
                settings.upstream_url,
                UpstreamKey(settings.wavespeed_api_key, settings.upstream_key_file),
                metrics,
                CircuitBreaker(window_s=_BREAKER_S * settings.poll_scale, hold_s=_BREAKER_S * settings.poll_scale),
                given_clock or time.monotonic,
            )
        )
        outputs = await stack.enter_async_context(connect_outputs(settings.output_hosts, settings.upstream_url))
        predictions = PredictionStore(commands, scripts, now_ms)
        feed = EventFeed(lambda: connect_redis(settings, 1), settings.tenant_streams)
        metrics.streams_open.set_function(lambda: len(feed.places))
        ledger = QuotaLedger(commands, scripts, now_ms, settings.capacity, settings.max_queued)
        queue = SubmissionQueue(commands, scripts, settings.capacity, SUBMIT_OVER_S, settings.max_queue_wait_s, now_ms)
        tenants = TenantStore(commands, scripts, encryption)
        api_keys = ApiKeyStore(commands, scripts, now_ms)
        audit = AuditLog(commands)
        administer = Administer(tenants, api_keys, audit, callbacks, clock)
        endpoints = EndpointStore(commands, scripts, now_ms)
        deliveries = DeliveryLog(commands, scripts, now_ms, places, settings.retry_scale)
        never = frozenset({"prediction.output_expiring"} if not settings.output_expiring_s else ())
        redis_state = RedisState(commands, encryption, _stop_process, server_clock)
        metrics.redis_up.set_function(lambda: redis_state.up)
        timetable = _timetable(settings, catalogue)
        transition = Transition(predictions, schedule, timetable, metrics, settings.base_url, clock)
        callback_ids = _callback_ids(settings)
        start = Start(
            transition,
            upstream,
            queue,
            schedule,
            timetable,
            metrics,
            clock,
            _upstream_callback(settings, callback_ids),
        )
        low_micros = micros(settings.upstream_balance_low_usd)
        find_task = FindTask(predictions, TaskList(upstream, clock), metrics, clock, SUBMIT_OVER_S)
        yield Resources(
            settings=settings,
            clock=clock,
            metrics=metrics,
            catalogue=catalogue,
            callbacks=callbacks,
            encryption=encryption,
            commands=commands,
            redis_state=redis_state,
            arq=arq,
            schedule=schedule,
            predictions=predictions,
            prediction_list=PredictionList(commands, predictions),
            ledger=ledger,
            tenants=tenants,
            keys=api_keys,
            audit=audit,
            endpoints=endpoints,
            deliveries=deliveries,
            events=EventLog(commands),
            feed=feed,
            lane_health=LaneHealth(commands),
            upstream=upstream,
            uploads=Uploads(upstream),
            outputs=outputs,
            authenticate=Authenticate(api_keys, metrics, time.monotonic),
            administer=administer,
            apply_tenants=ApplyTenants(administer.by("tenants file")),
            report_usage=ReportUsage(tenants, ledger, clock),
            reconcile=Reconcile(tenants, ledger, Books(commands, scripts), metrics, clock),
            register_endpoint=RegisterEndpoint(endpoints, encryption, callbacks, clock, never),
            change_endpoint=ChangeEndpoint(endpoints, schedule, encryption, callbacks, metrics, clock, never),
            try_endpoint=TryEndpoint(endpoints, deliveries, schedule, clock),
            resend=Resend(deliveries, endpoints, predictions, schedule),
            submit=Submit(
                ledger,
                predictions,
                transition,
                start,
                catalogue,
                timetable,
                callbacks,
                metrics,
                redis_state.require_room,
                clock,
            ),
            submit_queued=SubmitQueued(predictions, transition, start, metrics, clock),
            queue=queue,
            estimate_start=EstimateStart(queue, timetable, clock),
            pause_account=PauseAccount(queue, schedule, audit, clock),
            watch_account=WatchAccount(queue, upstream, schedule, metrics, clock, low_micros),
            await_end=AwaitEnd(feed, predictions),
            take_over=TakeOver(Abandoned(commands), predictions),
            cancel=Cancel(predictions, transition),
            delete=Delete(predictions, transition),
            look=Look(predictions, transition, schedule, upstream, find_task, timetable, metrics, clock),
            retain=Retain(predictions, transition, schedule, timetable, metrics, clock),
            find_stuck=FindStuck(predictions, schedule, metrics, clock),
            measure_store=MeasureStore(Holdings(commands, scripts, clock), metrics),
            reencrypt=Reencrypt(tenants, endpoints, encryption, commands, scripts),
            callback_ids=callback_ids,
            receive_callback=ReceiveCallback(predictions, transition, timetable, metrics, clock),
            verify_callback=VerifyCallback(upstream, UpstreamSecretStore(commands, encryption), clock),
        )


@asynccontextmanager
async def watch_redis(state: RedisState, first: Callable[[], Awaitable[object]] | None = None) -> AsyncIterator[None]:
    """Look at Redis in the background for as long as the block runs; `first` is done before it counts as ready."""
    async with _in_background(state.watch(first)):
        yield


@asynccontextmanager
async def measure_loop(metrics: Metrics) -> AsyncIterator[None]:
    """Measure how late timers fire for as long as the block runs."""
    async with _in_background(watch_loop(metrics)):
        yield


@asynccontextmanager
async def follow_moves(feed: EventFeed) -> AsyncIterator[None]:
    """Hear of moves in the background for as long as the block runs."""
    async with _in_background(feed.follow()):
        try:
            yield
        finally:
            feed.end()


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have work done for as long as the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
