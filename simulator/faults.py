"""Faults on demand: parsed from prompts, or armed through the control routes. Pure.

In a prompt, in square brackets, several allowed:

- `[sim:fail]`, `[sim:nsfw]`, `[sim:stuck]`: how the run ends, or that it never does
- `[sim:duration=2.5]`: seconds until the end; `[sim:delay=1]`: seconds before the submission is answered
- `[sim:submit=429]` (any status), `hang`, `drop`, `html`: refused before anything is accepted or paid
- `[sim:submit=lost]`, `cut`, `malformed`: accepted and paid, and then the answer is lost, cut or garbled
- `[sim:poll=500x3]`: the next 3 looks at this run answer 500; `429`, `hang`, `malformed`, `cut`, `html`, `drop` too
- `[sim:backwards]`, `[sim:unknown-status]`, `[sim:empty-outputs]`, `[sim:no-webhook]`, `[sim:webhook-twice]`
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

FaultName = Literal["status", "late_status", "delay", "hang", "malformed", "cut", "html", "drop", "lost"]
Operation = Literal["submit", "result", "list", "balance", "upload", "secret", "any"]

BEFORE_ACCEPTING: Final[frozenset[FaultName]] = frozenset({"status", "late_status", "hang", "html", "drop"})
"""Faults that keep a submission from being accepted; after any other it is accepted and paid."""

MAX_TIMES: Final = 10_000
_DIRECTIVE: Final = re.compile(r"\[sim:([^\]]*)\]")
_POLL: Final = re.compile(r"(\w+?)(?:x(\d{1,4}))?")
_FLAGS: Final = frozenset(
    {"fail", "nsfw", "stuck", "backwards", "unknown-status", "empty-outputs", "no-webhook", "webhook-twice"}
)


class BadDirective(Exception):
    """A directive or control body the simulator does not understand; the text names it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong. `seconds` is for delays and late statuses, `retry_after_s` for 429 answers."""

    name: FaultName
    status: int = 500
    retry_after_s: float = 1.0
    seconds: float = 1.0


@dataclass(slots=True)
class Directives:
    """What one prompt asks for."""

    flags: frozenset[str] = frozenset()
    duration_s: float | None = None
    submit: Fault | None = None
    polls: list[Fault] = field(default_factory=list)


def fault_named(word: str) -> Fault:
    """A fault by its name or HTTP status. Raises `BadDirective`."""
    if word.isascii() and word.isdigit() and 300 <= int(word) <= 599:
        return Fault("status", int(word))
    for name in get_args(FaultName):
        if word == name and name not in ("status", "late_status", "delay"):
            return Fault(name)
    raise BadDirective(f"unknown fault {word!r}")


def _seconds(text: str) -> float:
    """A number of seconds. Raises `BadDirective`."""
    try:
        value = float(text)
    except ValueError:
        raise BadDirective(f"{text!r} is not a number of seconds") from None
    if not 0 <= value <= 3600:
        raise BadDirective(f"{text!r} is not between 0 and 3600 seconds")
    return value


def parse_prompt(prompt: str) -> Directives:
    """Read the directives in a prompt. Raises `BadDirective` naming the one it does not know."""
    asked = Directives()
    flags = set()
    for directive in _DIRECTIVE.findall(prompt):
        name, _, value = directive.partition("=")
        if directive in _FLAGS:
            flags.add(name)
        elif name == "duration":
            asked.duration_s = _seconds(value)
        elif name == "delay":
            asked.submit = Fault("delay", seconds=_seconds(value))
        elif name == "submit":
            asked.submit = fault_named(value)
        elif name == "poll" and (match := _POLL.fullmatch(value)):
            asked.polls += [fault_named(match[1])] * int(match[2] or 1)
        else:
            raise BadDirective(f"unknown directive [sim:{directive[:60]}]")
    asked.flags = frozenset(flags)
    return asked


@dataclass(slots=True)
class _Armed:
    operation: Operation
    fault: Fault
    times: int


class ArmedFaults:
    """Faults armed through the control routes; each serves a number of matching calls, oldest first."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def arm(self, operation: Operation, fault: Fault, times: int) -> None:
        """Serve the next `times` calls of `operation` this fault."""
        self._armed.append(_Armed(operation, fault, min(times, MAX_TIMES)))

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()

    def take(self, operation: Operation) -> Fault | None:
        """The fault this call gets, if one is armed."""
        for armed in self._armed:
            if armed.operation in (operation, "any"):
                armed.times -= 1
                if armed.times <= 0:
                    self._armed.remove(armed)
                return armed.fault
        return None
