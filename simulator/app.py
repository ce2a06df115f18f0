"""The simulator's application: WaveSpeed's routes behind a key, storage and control routes without one."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.account_routes import AccountRoutes
from simulator.control import Control
from simulator.media import Media
from simulator.predictions import Predictions
from simulator.state import Options, State
from simulator.wire import error

Handler = Callable[[Request], Awaitable[Response]]


async def _http_error(_request: Request, exception: Exception) -> Response:
    """Unknown paths and methods, in WaveSpeed's envelope."""
    assert isinstance(exception, HTTPException)  # noqa: S101 registered for nothing else
    return error(exception.status_code, exception.detail)


def create_app(options: Options | None = None, clock: Callable[[], float] = time.time) -> Starlette:
    """Build a simulator. Serve it with `DroppableProtocol`, which its broken answers need."""
    state = State(options or Options(), clock)
    predictions, account, media, control = Predictions(state), AccountRoutes(state), Media(state), Control(state)

    def keyed(handler: Handler) -> Handler:
        """Refuse requests without one of the account's keys."""

        async def checked(request: Request) -> Response:
            if not state.account.knows(request.headers.get("authorization", "")):
                state.account.refused["401"] += 1
                return error(401, "invalid authentication")
            return await handler(request)

        return checked

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await state.webhooks.aclose()

    v3 = "/api/v3"
    return Starlette(
        routes=[
            Route(f"{v3}/predictions/{{id}}/result", keyed(predictions.result)),
            Route(f"{v3}/predictions/delete", keyed(predictions.delete_many), methods=["POST"]),
            Route(f"{v3}/predictions/{{id}}", keyed(predictions.result), methods=["GET"]),
            Route(f"{v3}/predictions/{{id}}", keyed(predictions.delete_one), methods=["DELETE"]),
            Route(f"{v3}/predictions", keyed(predictions.list), methods=["POST"]),
            Route(f"{v3}/balance", keyed(account.balance)),
            Route(f"{v3}/models", keyed(account.models)),
            Route(f"{v3}/model/price", keyed(account.price), methods=["POST"]),
            Route(f"{v3}/model/pricing", keyed(account.pricing), methods=["POST"]),
            Route(f"{v3}/webhook/secret", keyed(account.webhook_secret)),
            Route(f"{v3}/media/uploads", keyed(media.ticket), methods=["POST"]),
            Route(f"{v3}/media/upload/binary", keyed(media.multipart), methods=["POST"]),
            Route(f"{v3}/{{model:path}}", keyed(predictions.submit), methods=["POST"]),
            Route("/uploads/{name}", media.put, methods=["PUT"]),
            Route("/uploads/{name}", media.uploaded, methods=["GET"]),
            Route("/outputs/{name}.mp4", media.output),
            Route("/_control/faults", control.arm, methods=["POST"]),
            Route("/_control/faults", control.disarm, methods=["DELETE"]),
            Route("/_control/reset", control.reset, methods=["POST"]),
            Route("/_control/finish", control.finish, methods=["POST"]),
            Route("/_control/tier", control.tier, methods=["PUT"]),
            Route("/_control/balance", control.balance, methods=["PUT"]),
            Route("/_control/keys", control.keys, methods=["PUT"]),
            Route("/_control/rotate-secret", control.rotate_secret, methods=["POST"]),
            Route("/_control/state", control.state),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
