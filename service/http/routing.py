"""One route a path: a method the path does not know is answered 405, and no later route is asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette import routing
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Route(routing.Route):
    """A path that is its own whatever the method: the route of models, which takes any path, must not get its POSTs."""

    def __init__(self, path: str, endpoint: Endpoint, *, methods: Sequence[str] | None = None) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.app = _answering(endpoint)
        self._stem = path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match by path alone; Starlette then answers 405 with `Allow` where the method does not fit."""
        if not scope["path"].startswith(self._stem):  # a fifth of what the pattern costs, and there are many
            return Match.NONE, {}
        match, child = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child


def _answering(endpoint: Endpoint) -> ASGIApp:
    """An endpoint as an application. What it raises goes up: one place turns errors into answers (`Outermost`)."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response: Any = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    return app
