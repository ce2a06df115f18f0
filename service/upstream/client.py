"""WHERE THE UPSTREAM IS CALLED: submit, look, list, with our key, bounded in time and size."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from prometheus_client import Counter, Histogram
from yarl import URL

from service.domain.circuit_breaker import CircuitBreaker
from service.domain.errors import (
    AccountFault,
    CapacityReached,
    NeverSent,
    OutcomeUnknown,
    ReadFailed,
    ReadsPaused,
    UpstreamError,
    UpstreamRefused,
)
from service.domain.json_forms import json_bytes
from service.domain.predictions import Observation
from service.domain.retry_after import parse_retry_after
from service.domain.timestamps import rfc3339
from service.metrics import Metrics
from service.upstream.connection import Connections, NeverConnected, Request, open_connections
from service.upstream.key import UpstreamKey
from service.upstream.payloads import (
    ListedTask,
    Started,
    balance_answer,
    list_answer,
    result_answer,
    secret_answer,
    submit_answer,
)

CONNECT_S: Final = 5.0
"""Longest wait for a connection, in seconds: a connect that fails in time leaves the answer window intact."""

SUBMIT_S: Final = 60.0
"""Longest wait for the answer to a submission, in seconds; the caller is answered long before."""

SUBMIT_OVER_S: Final = SUBMIT_S + 10.0
"""By this time after its admission a submission is over, in seconds: answered, timed out, or its process dead."""

READ_S: Final = 10.0
"""Longest look at a prediction, in seconds."""

LIST_PAGE: Final = 100
"""Tasks on one page of a list: the most the upstream gives."""

Operation = Literal["submit", "result", "list", "webhook_secret", "balance", "upload"]
Answer = TypeVar("Answer")


class WaveSpeed:
    """One upstream account. Raises only errors of `UpstreamError`.

    Reads go past a circuit breaker: while it is open they raise `ReadsPaused` without a call. Submissions never do.
    """

    def __init__(
        self,
        connections: Connections,
        base_url: str,
        key: UpstreamKey,
        metrics: Metrics,
        breaker: CircuitBreaker | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self.key = key
        self._metrics = metrics
        self._base_url = base_url
        self._breaker = breaker or CircuitBreaker()
        self._monotonic = monotonic
        metrics.upstream_breaker_open.set_function(lambda: self._breaker.state(monotonic()) != "closed")
        self._series: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        # Parsing a URL costs a tenth of a call; models are few, and a running task is looked at again and again.
        self._submit_url = lru_cache(maxsize=256)(lambda model: URL(f"{base_url}/api/v3/{model}"))
        self._result_url = lru_cache(maxsize=8192)(
            lambda upstream_id: URL(f"{base_url}/api/v3/predictions/{upstream_id}/result")
        )

    async def create(self, model: str, inputs: bytes, headers: Mapping[str, str], callback_url: str = "") -> Started:
        """Submit once. `inputs` is the JSON body, `headers` the caller's that may travel, `callback_url` our own.

        Raises `NeverSent` (nothing left this host), `UpstreamRefused` (nothing was started) or `OutcomeUnknown`
        (it may have been started: never call this again for the same submission).
        """
        try:
            url = self._submit_url(model)
        except ValueError as unsendable:
            raise NeverSent("the request cannot be sent as it is") from unsendable
        if callback_url:
            url = url.with_query(webhook=callback_url)
        sent = {**headers, "content-type": "application/json", "authorization": self.key.authorization()}
        request = Request("POST", url, sent, inputs)
        return await self.call("submit", request, SUBMIT_S, submit_answer, _submit_failure)

    async def fetch(self, upstream_id: str) -> Observation:
        """Look at one task. Raises `ReadFailed` for anything that is not a verdict."""
        request = Request("GET", self._result_url(upstream_id), {"authorization": self.key.authorization()})
        return await self._read("result", request, partial(result_answer, upstream_id))

    async def list_tasks(self, model: str, since_ms: int, until_ms: int, page: int) -> list[ListedTask]:
        """One page (from 1) of the account's tasks of a model made in a span of time, newest first.

        Less than `LIST_PAGE` of them are all there were. Raises `ReadFailed`.
        """
        wanted = {
            "page": page,
            "page_size": LIST_PAGE,
            "model": model,
            "created_after": rfc3339(since_ms),
            "created_before": rfc3339(until_ms),
            "include_inputs": True,
        }
        headers = {"content-type": "application/json"}
        request = self.request("POST", "predictions", json_bytes(wanted), headers)
        return await self._read("list", request, list_answer)

    async def webhook_secret(self) -> str:
        """The secret the upstream signs its callbacks with. Raises `ReadFailed`."""
        return await self._read("webhook_secret", self.request("GET", "webhook/secret"), secret_answer)

    async def balance(self) -> int:
        """The account's balance in micro-dollars. Raises `ReadFailed`."""
        return await self._read("balance", self.request("GET", "balance"), balance_answer)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Request:
        """A request of the API, with our key."""
        url = URL(f"{self._base_url}/api/v3/{path}")
        return Request(method, url, {**headers, "authorization": self.key.authorization()}, body)

    async def _read(
        self, operation: Operation, request: Request, read: Callable[[int, bytes, float | None], Answer]
    ) -> Answer:
        """Make a call that changes nothing upstream, unless the breaker is open, and tell the breaker of it."""
        wait_s = self._breaker.wait_s(self._monotonic())
        if wait_s > 0:
            self._count_call(operation, "paused")
            raise ReadsPaused(wait_s)
        try:
            answer = await self.call(operation, request, READ_S, read, read_failure)
        except ReadFailed as failure:
            if failure.in_trouble:
                self._breaker.failed(self._monotonic())
            else:
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return answer

    async def call(
        self,
        operation: Operation,
        request: Request,
        within_s: float,
        read: Callable[[int, bytes, float | None], Answer],
        failure: Callable[[Exception], UpstreamError],
    ) -> Answer:
        """Send a request within a bound, read its answer with `read`, translate a broken exchange with `failure`."""
        started = time.perf_counter()
        ended: BaseException | None = None
        try:
            try:
                async with asyncio.timeout(within_s):
                    status, body, retry_after_s = await self._exchange(request)
            except Exception as broken:  # whatever it was, it is no verdict
                raise failure(broken) from broken
            return read(status, body, retry_after_s)
        except BaseException as error:
            ended = error
            raise
        finally:
            self._count(operation, started, ended)

    async def _exchange(self, request: Request) -> tuple[int, bytes, float | None]:
        """Send one request and read its answer; our key is taken out of it."""
        answer = await self._connections.exchange(request)
        retry_after_s = parse_retry_after(answer.retry_after, time.time()) if answer.retry_after else None
        return answer.status, self.key.taken_out_of(answer.body), retry_after_s

    def _count(self, operation: Operation, started: float, error: BaseException | None) -> None:
        """Count a call by what came of it, and how long it took."""
        outcome = "ok" if error is None else "canceled"
        if isinstance(error, UpstreamError):
            outcome = _OUTCOMES[type(error)]
        self._count_call(operation, outcome).observe(time.perf_counter() - started)

    def _count_call(self, operation: Operation, outcome: str) -> Histogram:
        """Count a call, or one that was not made; the histogram its duration belongs into."""
        series = self._series.get((operation, outcome))
        if series is None:
            # Looking children up costs more than counting; operations and outcomes are few.
            calls = self._metrics.upstream_calls.labels(operation, outcome)
            series = self._series[operation, outcome] = calls, self._metrics.upstream_duration.labels(operation)
        series[0].inc()
        return series[1]


_OUTCOMES: Final[Mapping[type[UpstreamError], str]] = {
    NeverSent: "never_sent",
    UpstreamRefused: "refused",
    AccountFault: "account_fault",
    CapacityReached: "capacity",
    OutcomeUnknown: "unknown",
    ReadFailed: "failed",
}


def _submit_failure(broken: Exception) -> UpstreamError:
    """What a broken exchange says of a submission: nothing left, or nobody knows."""
    if isinstance(broken, NeverConnected):
        return NeverSent("cannot connect to WaveSpeed")
    return OutcomeUnknown(f"no readable answer: {_reason(broken)}")


def read_failure(broken: Exception) -> UpstreamError:
    """What a broken exchange says of a look: nothing, but that the upstream is in trouble."""
    return ReadFailed(_reason(broken), in_trouble=True)


def _reason(broken: Exception) -> str:
    """Name a failure without quoting it: a text may hold addresses and ids."""
    known = broken.__cause__ if isinstance(broken, NeverConnected) else broken
    return type(known).__name__


@asynccontextmanager
async def connect_upstream(
    base_url: str,
    key: UpstreamKey,
    metrics: Metrics,
    breaker: CircuitBreaker | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[WaveSpeed]:
    """Open the account's connections."""
    async with open_connections(CONNECT_S) as connections:
        yield WaveSpeed(connections, base_url, key, metrics, breaker, monotonic)
