"""One route a path: a method the path does not know is answered 405, and no later route is asked."""

from starlette import routing
from starlette.routing import Match
from starlette.types import Scope


class Route(routing.Route):
    """A path that is its own whatever the method: the route of models, which takes any path, must not get its POSTs."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match by path alone; Starlette then answers 405 with `Allow` where the method does not fit."""
        match, child = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child
