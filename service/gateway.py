"""The gateway process: resources, application, server, and their end in order."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.app import create_app
from service.garbage import collect_rarely
from service.metrics.shared import share
from service.resources import open_resources, read_tenants
from service.server import Server, allow_open_files, bind, stop_event
from service.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """What a gateway is given that is one of several: its number, their listening socket, where they share metrics.

    Its standard input ends when whoever started it does.
    """

    number: int
    listening_fd: int
    shared_metrics: Path


async def run_gateway(settings: Settings, place: Place | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then for the grace, then drain within the configured bound. Raises `PortBusy`."""
    tenants = read_tenants(settings)
    allow_open_files()
    if place is None:
        listening = bind(settings.host, settings.port, "BREAKWATER_HOST, BREAKWATER_PORT")
    else:
        share(place.shared_metrics, place.number)
        listening = socket.socket(fileno=place.listening_fd)
    async with open_resources(settings, shared_metrics=place.shared_metrics if place else None) as resources:
        server = Server(
            create_app(resources, lambda: server.draining, lambda: server.drain_left_s, tenants),
            settings.drain_s,
            settings.shutdown_grace_s,
            resources.feed.end,
        )
        collect_rarely()
        with stop_event(on_set=server.stop), _orphaned(server.stop if place else None):
            log.info("gateway listening", host=settings.host, port=settings.port)
            await server.serve(sockets=[listening])
            log.info("gateway drained")
        resources.redis_state.require_right_key()
    log.info("gateway stopped")


@contextmanager
def _orphaned(stop: Callable[[], None] | None) -> Iterator[None]:
    """Have `stop` called when standard input ends, for the time of the block: then whoever started us is gone."""
    if stop is None:
        yield
        return
    loop, given = asyncio.get_running_loop(), sys.stdin.fileno()

    def ended() -> None:
        loop.remove_reader(given)
        log.warning("whoever started this gateway is gone")
        stop()

    loop.add_reader(given, ended)
    try:
        yield
    finally:
        loop.remove_reader(given)
