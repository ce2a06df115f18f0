"""The Lua scripts: loaded from `lua/*.lua` once, run by their hash.

EVALSHA sends 40 bytes for a script's text. A server that does not know the hash (it restarted, or failed over)
answers NOSCRIPT, which proves that the script did not run: that one script is then sent again with its text, and
the server knows it from there on.

A file whose name begins with `_` is no script: its text is put before every script, for what they share.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from redis.exceptions import NoScriptError
from redis.typing import EncodableT

from service.stores.commands import Commands

_FOLDER: Final = files("service.stores") / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    """One script: `name` is its file's without `.lua`, `sha` is what Redis knows it by."""

    name: str
    source: str
    sha: str

    @classmethod
    def of(cls, name: str, source: str) -> "Script":
        """Make a script of its text."""
        return cls(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def texts() -> dict[str, str]:
    """Read the files in `lua/`: name without `.lua` → text, in the order of names."""
    names = sorted(file.name for file in _FOLDER.iterdir() if file.name.endswith(".lua"))
    return {name.removesuffix(".lua"): (_FOLDER / name).read_text("utf-8") for name in names}


@cache
def load() -> tuple[Script, ...]:
    """Every script there is, read once a process."""
    found = texts()
    shared = "".join(text for name, text in found.items() if name.startswith("_"))
    return tuple(Script.of(name, shared + text) for name, text in found.items() if not name.startswith("_"))


def optional(number: int | None) -> int | str:
    """A number as an argument of a script; "" for none."""
    return "" if number is None else number


class Scripts:
    """Runs scripts by name, with the other commands of the tick."""

    def __init__(self, commands: Commands, scripts: Iterable[Script] | None = None) -> None:
        self._commands = commands
        self._scripts = {script.name: script for script in (load() if scripts is None else scripts)}

    async def run(self, name: str, *, keys: Sequence[str], args: Sequence[EncodableT] = ()) -> Any:
        """Run one script and return what it returns, in the raw shapes of `Commands`.

        Raises what `Commands` does: after `StoreUnavailable` the script may or may not have run, after
        `StoreOverloaded` it did not. Sending it again with its text starts a deadline of its own. A name without a
        file raises `LookupError`.
        """
        script = self._scripts.get(name)
        if script is None:
            raise LookupError(f"no script named {name!r}; there are: {', '.join(self._scripts)}")
        try:
            return await self._commands("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._commands("EVAL", script.source, len(keys), *keys, *args)
