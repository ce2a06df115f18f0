"""The gateway: routes, middleware order, error handlers, lifespan."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from service.domain.errors import BreakwaterError, StoreUnavailable
from service.domain.tenants_file import WrittenTenant
from service.http.access_log import AccessLog
from service.http.admin.account import AccountHandlers
from service.http.admin.dead_letters import DeadLetterHandlers
from service.http.admin.reports import ReportHandlers
from service.http.admin.tenants import TenantHandlers
from service.http.authentication import Endpoint, authenticated, operators_only
from service.http.native.content import ContentHandler
from service.http.native.deliveries import DeliveryHandlers
from service.http.native.endpoints import EndpointHandlers
from service.http.native.event_stream import EventStreamHandler
from service.http.native.events import EventsHandler
from service.http.native.models import CatalogueHandlers
from service.http.native.prediction_list import PredictionListHandler
from service.http.native.predictions import PredictionHandlers
from service.http.native.quota import QuotaHandler
from service.http.openapi import docs_page, openapi_document
from service.http.problems import answer_error
from service.http.routing import Dispatch, Route
from service.http.upstream_callbacks import UpstreamCallbackHandler
from service.http.wavespeed.account import BalanceHandler, WebhookSecretHandler
from service.http.wavespeed.envelope import Encoder
from service.http.wavespeed.history import HistoryHandlers
from service.http.wavespeed.media import MediaHandlers
from service.http.wavespeed.models import ModelHandlers
from service.http.wavespeed.results import ResultHandler
from service.http.wavespeed.submit import SubmitHandler
from service.probes import Probes
from service.resources import UPSTREAM_CALLBACKS, Resources, follow_moves, measure_loop, watch_redis
from service.usecases.authenticate import AuthenticateOperator

log = structlog.get_logger()


def routes(resources: Resources, ready: Callable[[], bool]) -> list[BaseRoute]:
    """Every route of the gateway."""
    settings = resources.settings
    encoder = Encoder(resources.outputs)
    submit = SubmitHandler(
        resources.submit,
        resources.await_end,
        resources.take_over,
        encoder,
        settings.base_url,
        settings.max_body_bytes,
        settings.max_wait_s,
    )
    result = authenticated(resources.authenticate, ResultHandler(resources.predictions, encoder, settings.base_url))
    history = HistoryHandlers(resources.prediction_list, resources.delete, settings.base_url, settings.max_body_bytes)
    media = MediaHandlers(resources.uploads, settings.max_body_bytes, settings.max_upload_bytes)
    models = ModelHandlers(resources.catalogue, settings.base_url, settings.max_body_bytes)
    secret = WebhookSecretHandler(resources.tenants)
    balance = BalanceHandler(resources.ledger, resources.tenants, resources.clock)
    predictions = PredictionHandlers(
        resources.submit,
        resources.await_end,
        resources.cancel,
        resources.delete,
        resources.estimate_start,
        resources.predictions,
        settings.base_url,
        settings.max_body_bytes,
        settings.max_wait_s,
    )
    listed = PredictionListHandler(resources.prediction_list, settings.base_url)
    stream = EventStreamHandler(resources.authenticate, resources.feed, resources.predictions)
    content = ContentHandler(resources.predictions, resources.outputs)
    endpoints = EndpointHandlers(
        resources.register_endpoint,
        resources.change_endpoint,
        resources.try_endpoint,
        resources.resend,
        resources.endpoints,
        resources.lane_health,
        resources.clock,
        settings.max_body_bytes,
    )
    deliveries = DeliveryHandlers(resources.deliveries, resources.resend)
    events = EventsHandler(resources.events)
    catalogue = CatalogueHandlers(resources.catalogue)
    quota = QuotaHandler(resources.ledger, resources.tenants, resources.clock)
    for_tenants = partial(authenticated, resources.authenticate)
    faces = {"admin": bool(settings.admin_token), "callbacks": resources.callback_ids is not None}
    return [
        # Tried in this order: the reads clients poll with come first, and the model route swallows any path.
        Route("/api/v3/predictions/{id}/result", result),
        Route("/api/v2/predictions/{id}/result", result),  # where older nodes of ComfyUI still look
        Route("/api/v3/predictions/delete", for_tenants(history.delete_many), methods=["POST"]),
        _resource("/api/v3/predictions/{id}", GET=result, DELETE=for_tenants(history.delete)),
        _resource("/api/v3/predictions", GET=for_tenants(history.list), POST=for_tenants(history.list)),
        Route("/api/v3/webhook/secret", for_tenants(secret)),
        Route("/api/v3/balance", for_tenants(balance)),
        Route("/api/v3/account/balance", for_tenants(balance)),
        Route("/api/v3/media/uploads", for_tenants(media.ticket), methods=["POST"]),
        Route("/api/v3/media/upload/binary", for_tenants(media.binary), methods=["POST"]),
        Route("/api/v3/models", for_tenants(models.list)),
        Route("/api/v3/model/price", for_tenants(models.price), methods=["POST"]),
        Route("/api/v3/model/pricing", for_tenants(models.pricing), methods=["POST"]),
        Route("/api/v3/upload", for_tenants(media.older), methods=["POST"]),
        Route("/api/v3/uploads", for_tenants(media.older), methods=["POST"]),
        Route("/api/v3/{model:path}", for_tenants(submit), methods=["POST"]),
        _resource("/v1/predictions", GET=for_tenants(listed), POST=for_tenants(predictions.create)),
        _resource("/v1/predictions/{id}", GET=for_tenants(predictions.get), DELETE=for_tenants(predictions.delete)),
        Route("/v1/predictions/{id}/events", for_tenants(stream)),
        Route("/v1/predictions/{id}/content/{n}", for_tenants(content)),
        Route("/v1/predictions/{id}/cancel", for_tenants(predictions.cancel), methods=["POST"]),
        Route("/v1/models", for_tenants(catalogue.list)),
        Route("/v1/models/{model:path}", for_tenants(catalogue.get)),
        Route("/v1/quota", for_tenants(quota)),
        _resource("/v1/endpoints", GET=for_tenants(endpoints.list), POST=for_tenants(endpoints.create)),
        _resource(
            "/v1/endpoints/{id}",
            GET=for_tenants(endpoints.get),
            PATCH=for_tenants(endpoints.update),
            DELETE=for_tenants(endpoints.delete),
        ),
        Route("/v1/endpoints/{id}/rotate-secret", for_tenants(endpoints.rotate_secret), methods=["POST"]),
        Route("/v1/endpoints/{id}/test", for_tenants(endpoints.test), methods=["POST"]),
        Route("/v1/endpoints/{id}/recover", for_tenants(endpoints.recover), methods=["POST"]),
        Route("/v1/deliveries", for_tenants(deliveries.list)),
        Route("/v1/deliveries/{id}", for_tenants(deliveries.get)),
        Route("/v1/deliveries/{id}/resend", for_tenants(deliveries.resend), methods=["POST"]),
        Route("/v1/events", for_tenants(events)),
        *upstream_routes(resources),
        *(admin_routes(resources, settings.admin_token.get_secret_value()) if settings.admin_token else ()),
        *Probes(resources.metrics, ready).routes(),
        Route("/openapi.json", openapi_document(resources.catalogue, **faces)),
        Route("/docs", docs_page(resources.catalogue, **faces)),
    ]


def upstream_routes(resources: Resources) -> list[BaseRoute]:
    """WaveSpeed's own way in; there is none without a key that signs ids.

    It stays open when callbacks are switched off: those asked for before still come.
    """
    if resources.callback_ids is None:
        return []
    handler = UpstreamCallbackHandler(
        resources.callback_ids,
        resources.verify_callback,
        resources.receive_callback,
        resources.upstream.key,
        resources.metrics,
    )
    return [Route(f"{UPSTREAM_CALLBACKS}{{signed_id}}", handler.__call__, methods=["POST"])]


def admin_routes(resources: Resources, token: str) -> list[BaseRoute]:
    """The operators' face; there is none without a token."""
    limit = resources.settings.max_body_bytes
    tenants = TenantHandlers(resources.administer.by("admin api"), limit)
    reports = ReportHandlers(resources.report_usage, resources.audit)
    catalogue = CatalogueHandlers(resources.catalogue)
    account = AccountHandlers(resources.pause_account.by("admin api"), limit)
    dead = DeadLetterHandlers(resources.deliveries, resources.resend, limit)
    for_operators = partial(operators_only, AuthenticateOperator(token))
    one = "/admin/v1/tenants/{tenant}"
    return [
        _resource("/admin/v1/tenants", GET=for_operators(tenants.list)),
        _resource(
            one,
            GET=for_operators(tenants.get),
            PUT=for_operators(tenants.put),
            DELETE=for_operators(tenants.delete),
        ),
        _resource(f"{one}/suspend", POST=for_operators(tenants.suspend)),
        _resource(f"{one}/resume", POST=for_operators(tenants.resume)),
        _resource(f"{one}/keys", GET=for_operators(tenants.list_keys), POST=for_operators(tenants.create_key)),
        _resource(f"{one}/keys/{{key}}", DELETE=for_operators(tenants.revoke_key)),
        _resource("/admin/v1/usage", GET=for_operators(reports.usage)),
        _resource("/admin/v1/audit", GET=for_operators(reports.audit)),
        Route("/admin/v1/models", for_operators(catalogue.list_all)),
        Route("/admin/v1/models/{model:path}", for_operators(catalogue.get_any)),
        _resource("/admin/v1/upstream", GET=for_operators(account.get)),
        _resource("/admin/v1/upstream/pause", POST=for_operators(account.pause)),
        _resource("/admin/v1/upstream/resume", POST=for_operators(account.resume)),
        _resource("/admin/v1/dead-letters", GET=for_operators(dead.list)),
        _resource("/admin/v1/dead-letters/resend", POST=for_operators(dead.resend)),
    ]


def _resource(path: str, **handlers: Endpoint) -> Route:
    """One path with a handler for each method: a 405 then names all of them. HEAD is answered as GET."""

    async def dispatch(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, dispatch, methods=list(handlers))


class _Application(Starlette):
    """Starlette with nothing between our middleware and the routes: its layers that catch exceptions cost more than
    all else it does, and `AccessLog` catches them all.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """The middleware around the router."""
        app: ASGIApp = Dispatch(self.router)
        for layer in reversed(self.user_middleware):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app


def create_app(
    resources: Resources,
    draining: Callable[[], bool] = lambda: False,
    drain_left_s: Callable[[], float] | None = None,
    tenants: Sequence[WrittenTenant] = (),
) -> Starlette:
    """Build the application over open resources. `draining` turns readiness red before the server stops.

    `drain_left_s` is how long its end may wait for submissions still being answered upstream (the setting, if None).
    `tenants` are applied as soon as Redis answers, before the first request is let in.
    """

    async def apply_tenants() -> None:
        try:
            changes = await resources.apply_tenants(tenants)
        except StoreUnavailable:
            raise  # tried again a second later
        except BreakwaterError as refused:  # what could not be known before: a key in use elsewhere, a full list
            log.error("tenants file not applied in full", reason=str(refused))
            return
        log.info("tenants file applied", changed=sum(change.kind in ("create", "update") for change in changes))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with (
            watch_redis(resources.redis_state, apply_tenants if tenants else None),
            follow_moves(resources.feed),
            measure_loop(resources.metrics),
        ):
            yield
            resources.feed.end()
            still_going = await resources.submit.drain(drain_left_s() if drain_left_s else resources.settings.drain_s)
            if still_going:
                log.warning("submissions were still unanswered", submissions=still_going)

    app = _Application(
        routes=routes(resources, lambda: resources.redis_state.ready and not draining()),
        middleware=[Middleware(AccessLog, metrics=resources.metrics, answer_error=answer_error)],
        lifespan=lifespan,
    )
    # A redirect would be built from the Host header: nobody is sent where a caller says.
    app.router.redirect_slashes = False
    return app
