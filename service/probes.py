"""`/livez`, `/readyz`, `/metrics`: for Kubernetes and Prometheus, of the gateway and the worker alike."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of one process. `ready` says whether it should get traffic now."""

    metrics: Metrics
    ready: Callable[[], bool]

    def routes(self) -> list[Route]:
        """The three routes."""
        return [
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/metrics", self.exposition),
        ]

    async def livez(self, request: Request) -> Response:
        """The process runs. Never touches Redis: restarting a gateway mends no store."""
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """Red until Redis has answered once, and while draining."""
        return PlainTextResponse("ready\n") if self.ready() else PlainTextResponse("not ready\n", 503)

    async def exposition(self, request: Request) -> Response:
        """Every metric of this process, or of all on its port; written in a thread, so that nobody waits for it."""
        self.metrics.refresh()
        return Response(await run_in_threadpool(self.metrics.exposition), media_type=CONTENT_TYPE_LATEST)
