"""Every place where a process may die: before and after each await of a set of modules, found in their source.

The modules are imported with each `await X` rewritten to `await __fault_point__(place, X)`, and with a call of
`__fault_line__` where an `async with` or `async for` has been entered. Nothing else about them changes.
"""

import ast
import builtins
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any, Final, TypeVar

PATH: Final = (
    "service.http.authentication",
    "service.http.bodies",
    "service.http.wavespeed.submit",
    "service.usecases.authenticate",
    "service.usecases.cancel",
    "service.usecases.change_endpoint",
    "service.usecases.find_task",
    "service.usecases.look",
    "service.usecases.receive_callback",
    "service.usecases.start",
    "service.usecases.submit",
    "service.usecases.submit_queued",
    "service.usecases.transition",
    "service.usecases.watch_account",
    "service.stores.commands",
    "service.stores.delivery_log",
    "service.stores.insisting",
    "service.stores.prediction_store",
    "service.stores.quota_ledger",
    "service.stores.scripts",
    "service.stores.submission_queue",
    "service.stores.work_schedule",
    "service.upstream.client",
    "service.upstream.connection",
    "service.upstream.task_list",
    "worker.deliver_due",
    "worker.webhook_sender",
    "worker.work_pool",
)
"""The modules a submission passes on its way to the callback: submit, wait, confirm, poll, settle, deliver."""

T = TypeVar("T")


class _Rewrite(ast.NodeTransformer):
    """Rewrites a module, and collects its places: `module:function#number`, numbered within each function."""

    def __init__(self, module: str) -> None:
        self.places: list[str] = []
        self._module = module
        self._scope: list[str] = []
        self._counts: dict[str, int] = {}

    def _place(self) -> str:
        scope = f"{self._module}:{'.'.join(self._scope)}"
        self._counts[scope] = self._counts.get(scope, 0) + 1
        place = f"{scope}#{self._counts[scope]}"
        self.places.append(place)
        return place

    def _scoped(self, node: ast.AST) -> ast.AST:
        self._scope.append(getattr(node, "name", "?"))
        self.generic_visit(node)
        self._scope.pop()
        return node

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _scoped

    def visit_Await(self, node: ast.Await) -> ast.AST:
        """Wrap what is awaited."""
        place = self._place()
        self.generic_visit(node)
        call = ast.Call(ast.Name("__fault_point__", ast.Load()), [ast.Constant(place), node.value], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Await(call), node))

    def _entered(self, node: ast.AsyncWith | ast.AsyncFor) -> ast.AST:
        place = self._place()
        self.generic_visit(node)
        call = ast.Call(ast.Name("__fault_line__", ast.Load()), [ast.Constant(place)], [])
        node.body.insert(0, ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node)))
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        """Mark the entry."""
        return self._entered(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        """Mark each round."""
        return self._entered(node)


def places() -> list[str]:
    """Every place of the path, read from the source as it is now."""
    found: list[str] = []
    for module in PATH:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        rewrite = _Rewrite(module)
        rewrite.visit(ast.parse(Path(spec.origin).read_bytes()))
        found += rewrite.places
    return found


class _Loader(SourceFileLoader):
    """Compiles the rewritten source, and never the cached bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        """The rewritten module."""
        path = self.get_filename(fullname)
        return compile(_Rewrite(fullname).visit(ast.parse(self.get_data(path))), path, "exec")


class _Finder(MetaPathFinder):
    """Finds the modules of the path, for the rewriting loader."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """The module's usual spec with another loader."""
        if fullname not in PATH:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin)
        return spec


class Hits:
    """What was passed so far once `armed`, each once, in the order of the first time; `on_hit` may never return."""

    def __init__(self) -> None:
        self.armed = False
        self.passed: dict[str, None] = {}
        self.on_hit: Callable[[str], None] = lambda _: None

    def __call__(self, hit: str) -> None:
        """Pass one."""
        if self.armed and hit not in self.passed:
            self.on_hit(hit)
            self.passed[hit] = None


def install() -> Hits:
    """Have the modules of the path, none of which may be imported yet, pass through the returned `Hits`."""
    assert not set(PATH) & set(sys.modules)
    hits = Hits()

    async def point(place: str, awaited: Awaitable[T]) -> T:
        hits(f"{place} before")
        result = await awaited
        hits(f"{place} after")
        return result

    builtins.__dict__["__fault_point__"] = point
    builtins.__dict__["__fault_line__"] = lambda place: hits(f"{place} before")
    sys.meta_path.insert(0, _Finder())
    return hits
