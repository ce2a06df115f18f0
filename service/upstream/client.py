"""WHERE THE UPSTREAM IS CALLED: submit, look, list, with our key, bounded in time and size.

The transport is used directly with ready requests: it costs less than half of a client call. Connections are kept only
briefly, so that a submission never goes out on one the upstream has just closed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Final, Literal, TypeVar

import aiohttp
import httpx2
from httpx_aiohttp.httpx2.transport import AiohttpTransport
from prometheus_client import Counter, Histogram

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
from service.trust import system_trust
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

MAX_ANSWER_BYTES: Final = 1_048_576
"""Longest answer read; a larger one is no verdict."""

_KEEP_ALIVE_S: Final = 4.0
_CONNECTIONS: Final = 512

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
        transport: httpx2.AsyncBaseTransport,
        base_url: str,
        key: UpstreamKey,
        metrics: Metrics,
        breaker: CircuitBreaker | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self.key = key
        self._metrics = metrics
        self.base_url = base_url
        self._breaker = breaker or CircuitBreaker()
        self._monotonic = monotonic
        metrics.upstream_breaker_open.set_function(lambda: self._breaker.state(monotonic()) != "closed")
        self._series: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        # Parsing a URL costs a tenth of a call; models are few, and a running task is looked at again and again.
        self._submit_url = lru_cache(maxsize=256)(lambda model: httpx2.URL(f"{base_url}/api/v3/{model}"))
        self._result_url = lru_cache(maxsize=8192)(
            lambda upstream_id: httpx2.URL(f"{base_url}/api/v3/predictions/{upstream_id}/result")
        )

    async def create(self, model: str, inputs: bytes, headers: Mapping[str, str], callback_url: str = "") -> Started:
        """Submit once. `inputs` is the JSON body, `headers` the caller's that may travel, `callback_url` our own.

        Raises `NeverSent` (nothing left this host), `UpstreamRefused` (nothing was started) or `OutcomeUnknown`
        (it may have been started: never call this again for the same submission).
        """
        try:
            url = self._submit_url(model)
            request = httpx2.Request(
                "POST",
                url.copy_with(params={"webhook": callback_url}) if callback_url else url,
                content=inputs,
                headers={**headers, "content-type": "application/json", "authorization": self.key.authorization()},
                # A connect that takes too long is told apart from an answer that does: nothing was sent then.
                extensions={"timeout": {"connect": CONNECT_S, "pool": CONNECT_S}},
            )
        except (ValueError, httpx2.InvalidURL) as unsendable:  # a key or header that HTTP cannot carry
            raise NeverSent("the request cannot be sent as it is") from unsendable
        return await self.call("submit", request, SUBMIT_S, submit_answer, _submit_failure)

    async def fetch(self, upstream_id: str) -> Observation:
        """Look at one task. Raises `ReadFailed` for anything that is not a verdict."""
        request = httpx2.Request(
            "GET",
            self._result_url(upstream_id),
            headers={"authorization": self.key.authorization()},
        )
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
        request = httpx2.Request(
            "POST",
            f"{self.base_url}/api/v3/predictions",
            content=json_bytes(wanted),
            headers={"content-type": "application/json", "authorization": self.key.authorization()},
        )
        return await self._read("list", request, list_answer)

    async def webhook_secret(self) -> str:
        """The secret the upstream signs its callbacks with. Raises `ReadFailed`."""
        request = httpx2.Request(
            "GET",
            f"{self.base_url}/api/v3/webhook/secret",
            headers={"authorization": self.key.authorization()},
        )
        return await self._read("webhook_secret", request, secret_answer)

    async def balance(self) -> int:
        """The account's balance in micro-dollars. Raises `ReadFailed`."""
        request = httpx2.Request(
            "GET", f"{self.base_url}/api/v3/balance", headers={"authorization": self.key.authorization()}
        )
        return await self._read("balance", request, balance_answer)

    async def _read(
        self, operation: Operation, request: httpx2.Request, read: Callable[[int, bytes, float | None], Answer]
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
        request: httpx2.Request,
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

    async def _exchange(self, request: httpx2.Request) -> tuple[int, bytes, float | None]:
        """Send one request and read its answer, up to `MAX_ANSWER_BYTES`; a longer body comes back empty."""
        response = await self._transport.handle_async_request(request)
        # The transport's own stream: the response would wrap it twice, to decode and count what we do ourselves.
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101 an asynchronous transport's always is
        try:
            body = bytearray()
            async for chunk in stream:
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    body.clear()
                    break
        finally:
            await stream.aclose()
        # Nothing is to be tried again after a look that was answered; searching would be a good part of its cost.
        answered = response.status_code == 200 and request.method == "GET"
        wished = None if answered else response.headers.get("retry-after")
        retry_after_s = parse_retry_after(wished, time.time()) if wished else None
        return response.status_code, self.key.taken_out_of(bytes(body)), retry_after_s

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
    if _never_connected(broken):
        return NeverSent("cannot connect to WaveSpeed")
    return OutcomeUnknown(f"no readable answer: {_reason(broken)}")


def read_failure(broken: Exception) -> UpstreamError:
    """What a broken exchange says of a look: nothing, but that the upstream is in trouble."""
    return ReadFailed(_reason(broken), in_trouble=True)


def _reason(broken: Exception) -> str:
    """Name a failure without quoting it: a text may hold addresses and ids."""
    return type(broken.__cause__ or broken).__name__


def _never_connected(error: Exception) -> bool:
    """Whether no connection was ever made, judged by the cause.

    The transport reports a connection closed or reset after the body as a connect timeout too; only aiohttp's own
    exception tells them apart.
    """
    cause = error.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


@asynccontextmanager
async def connect_upstream(
    base_url: str,
    key: UpstreamKey,
    metrics: Metrics,
    breaker: CircuitBreaker | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[WaveSpeed]:
    """Open the account's connections: no proxies, no cookies, no redirects, no environment."""
    tls = system_trust()

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("accept", "accept-encoding", "user-agent"),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    transport = AiohttpTransport(client=session, verify=tls, trust_env=False)
    try:
        yield WaveSpeed(transport, base_url, key, metrics, breaker, monotonic)
    finally:
        await transport.aclose()
