"""The gateway process: resources, application, server, and their end in order."""

import structlog

from service.app import create_app
from service.resources import open_resources, read_tenants
from service.server import Server, allow_open_files, bind, stop_event
from service.settings import Settings

log = structlog.get_logger()


async def run_gateway(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then for the grace, then drain within the configured bound. Raises `PortBusy`."""
    tenants = read_tenants(settings)
    allow_open_files()
    listening = bind(settings.host, settings.port, "BREAKWATER_HOST, BREAKWATER_PORT")
    async with open_resources(settings) as resources:
        server = Server(
            create_app(resources, lambda: server.draining, lambda: server.drain_left_s, tenants),
            settings.drain_s,
            settings.shutdown_grace_s,
            resources.feed.end,
        )
        with stop_event(on_set=server.stop):
            log.info("gateway listening", host=settings.host, port=settings.port)
            await server.serve(sockets=[listening])
            log.info("gateway drained")
        resources.redis_state.require_right_key()
    log.info("gateway stopped")
