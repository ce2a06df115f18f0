"""The gateway: routes, middleware order, error handlers, lifespan."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from service.domain.errors import BreakwaterError
from service.http.access_log import AccessLog
from service.http.authentication import authenticated
from service.http.native.endpoints import EndpointHandlers
from service.http.openapi import docs_page, openapi_document
from service.http.problems import on_crash, on_domain_error, on_http_exception
from service.http.wavespeed.account import WebhookSecretHandler
from service.http.wavespeed.results import ResultHandler
from service.http.wavespeed.submit import SubmitHandler
from service.probes import Probes
from service.resources import Resources, watch_redis


def routes(resources: Resources, ready: Callable[[], bool]) -> list[BaseRoute]:
    """Every route of the gateway."""
    settings = resources.settings
    submit = SubmitHandler(resources.submit, settings.base_url, settings.max_body_bytes)
    result = authenticated(resources.authenticate, ResultHandler(resources.predictions, settings.base_url))
    endpoints = EndpointHandlers(resources.register_endpoint, resources.endpoints, settings.max_body_bytes)
    return [
        # Tried in this order: the reads clients poll with come first, and the model route swallows any path.
        Route("/api/v3/predictions/{id}/result", result),
        Route("/api/v3/predictions/{id}", result),
        Route("/api/v3/webhook/secret", authenticated(resources.authenticate, WebhookSecretHandler(resources.tenants))),
        Route("/api/v3/{model:path}", authenticated(resources.authenticate, submit), methods=["POST"]),
        Route("/v1/endpoints", authenticated(resources.authenticate, endpoints.create), methods=["POST"]),
        Route("/v1/endpoints", authenticated(resources.authenticate, endpoints.list), methods=["GET"]),
        *Probes(resources.metrics, ready).routes(),
        Route("/openapi.json", openapi_document(resources.catalogue)),
        Route("/docs", docs_page(resources.catalogue)),
    ]


def create_app(resources: Resources, draining: Callable[[], bool] = lambda: False) -> Starlette:
    """Build the application over open resources. `draining` turns readiness red before the server stops."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with watch_redis(resources.redis_state):
            yield
            still_going = await resources.submit.drain(resources.settings.drain_s)
            if still_going:
                logging.getLogger(__name__).warning("%d submissions were still unanswered", still_going)

    app = Starlette(
        routes=routes(resources, lambda: resources.redis_state.ready and not draining()),
        middleware=[Middleware(AccessLog, metrics=resources.metrics)],
        exception_handlers={
            BreakwaterError: on_domain_error,
            HTTPException: on_http_exception,
            Exception: on_crash,
        },
        lifespan=lifespan,
    )
    # A redirect would be built from the Host header: nobody is sent where a caller says.
    app.router.redirect_slashes = False
    return app
