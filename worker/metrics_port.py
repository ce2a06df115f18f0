"""The worker's own small HTTP server: `/metrics`, `/livez`, `/readyz`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from service.metrics import Metrics
from service.probes import Probes
from service.server import Server, bind


@asynccontextmanager
async def metrics_port(host: str, port: int, metrics: Metrics, ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Serve the probes for as long as the block runs. Raises `PortBusy`."""
    listening = bind(host, port)
    server = Server(Starlette(routes=Probes(metrics, ready).routes()), drain_s=1.0)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)
