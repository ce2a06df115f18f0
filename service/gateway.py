"""The gateway process: resources, application, server, and their end in order."""

import structlog

from service.app import create_app
from service.resources import open_resources
from service.server import Server, bind, stop_event
from service.settings import Settings

log = structlog.get_logger()


async def run_gateway(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain within the configured bound. Raises `PortBusy`."""
    listening = bind(settings.host, settings.port)
    async with open_resources(settings) as resources:
        server = Server(create_app(resources, draining=lambda: server.should_exit), settings.drain_s)
        with stop_event(on_set=server.stop):
            log.info("gateway listening", host=settings.host, port=settings.port)
            await server.serve(sockets=[listening])
            log.info("gateway drained")
    log.info("gateway stopped")
