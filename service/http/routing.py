"""From a path to its handler, in one step. A method the path does not know is 405, and no later route is asked."""

from collections.abc import Awaitable, Callable, Sequence

from starlette import routing
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Route(routing.Route):
    """A path that is its own whatever the method: the route of models, which takes any path, must not get its POSTs."""

    def __init__(self, path: str, endpoint: Endpoint, *, methods: Sequence[str] | None = None) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.stem = path.partition("{")[0]
        """What every path of it begins with: comparing that costs a fifth of what the pattern does."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request for this path; False for another path. Raises 405 as Starlette does, with `Allow`.

        What the handler raises goes up as it is: one place turns errors into answers (`AccessLog`).
        """
        match = self.path_regex.match(scope["path"])
        if match is None:
            return False
        convertors = self.param_convertors
        scope["path_params"] = {name: convertors[name].convert(value) for name, value in match.groupdict().items()}
        scope["route"] = self
        if self.methods and scope["method"] not in self.methods:
            raise HTTPException(405, headers={"Allow": ", ".join(self.methods)})
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
        return True


class Dispatch:
    """The routes as an application. Those of Starlette's own kind, and what is no request, are left to its router."""

    def __init__(self, router: routing.Router) -> None:
        self._router: ASGIApp = router
        self._routes = [(route.stem, route) for route in router.routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the routes in their order."""
        if scope["type"] == "http":
            path = scope["path"]
            for stem, route in self._routes:
                if path.startswith(stem) and await route.answer(scope, receive, send):
                    return
        await self._router(scope, receive, send)
