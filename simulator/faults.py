"""Faults on demand: parsed from prompts, or armed through the control routes. Pure.

In a prompt, in square brackets, several allowed (of two that contradict each other the last counts):

- `[sim:fail]`, `[sim:nsfw]`, `[sim:stuck]`: how the run ends, or that it never does
- `[sim:duration=2.5]`: seconds until the end; `[sim:delay=1]`: seconds before the submission is answered
- `[sim:submit=429]` (any status), `hang`, `drop`, `html`: refused before anything is accepted or paid
- `[sim:submit=lost]`, `cut`, `malformed`: accepted and paid, and then the answer is lost, cut or garbled
- `[sim:poll=500x3]`: the next 3 looks at this run answer 500; `429`, `hang`, `malformed`, `cut`, `html`, `drop` too
- `[sim:backwards]`, `[sim:unknown-status]`, `[sim:empty-outputs]`, `[sim:no-webhook]`, `[sim:webhook-twice]`
"""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

FaultName = Literal["status", "delay", "hang", "malformed", "cut", "html", "drop", "lost"]
Operation = Literal["submit", "result", "list", "balance", "upload", "any"]

BEFORE_ACCEPTING: Final[frozenset[FaultName]] = frozenset({"status", "hang", "html", "drop"})
"""Faults that keep a call from having its effect: a submission is neither accepted nor paid. After any other it is."""

MAX_TIMES: Final = 10_000
"""Most calls that one armed fault can serve."""

MAX_DIRECTIVES: Final = 100
"""Most directives in one prompt."""

MAX_SECONDS: Final = 3600.0
"""Longest duration or delay that can be asked for."""

_DIRECTIVE: Final = re.compile(r"\[sim:([^\[\]]{0,100})(\]?)")
_POLL: Final = re.compile(r"([a-z]+|[0-9]{3})(?:x([1-9][0-9]{0,3}))?")
_STATUS: Final = re.compile(r"[345][0-9]{2}")
_SECONDS: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,6})?")
_FLAGS: Final = frozenset(
    {"fail", "nsfw", "stuck", "backwards", "unknown-status", "empty-outputs", "no-webhook", "webhook-twice"}
)
_NAMED: Final[dict[str, FaultName]] = {name: name for name in get_args(FaultName) if name not in ("status", "delay")}


class BadDirective(Exception):
    """A directive the simulator does not understand; the text names it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong. `seconds` is for delays, `retry_after_s` for 429 and 503 answers."""

    name: FaultName
    status: int = 500
    retry_after_s: float = 1.0
    seconds: float = 1.0


@dataclass(slots=True)
class Repeated:
    """A fault and how many calls it is still good for."""

    fault: Fault
    times: int


@dataclass(slots=True)
class Directives:
    """What one prompt asks for. `polls` are served in their order, one look each."""

    flags: frozenset[str] = frozenset()
    duration_s: float | None = None
    delay_s: float = 0.0
    submit: Fault | None = None
    polls: deque[Repeated] = field(default_factory=deque)

    def next_poll(self) -> Fault | None:
        """The fault the next look at the run gets; each call uses one up."""
        if not self.polls:
            return None
        first = self.polls[0]
        first.times -= 1
        if first.times == 0:
            self.polls.popleft()
        return first.fault


def _fault_named(word: str) -> Fault | None:
    """A fault by its name or HTTP status."""
    if _STATUS.fullmatch(word):
        return Fault("status", int(word))
    name = _NAMED.get(word)
    return Fault(name) if name else None


def _seconds(text: str) -> float | None:
    """A number of seconds, up to `MAX_SECONDS`."""
    value = float(text) if _SECONDS.fullmatch(text) else MAX_SECONDS + 1
    return value if value <= MAX_SECONDS else None


def _apply(directive: str, asked: Directives) -> bool:
    """Note one directive in `asked`; False for one that is not understood."""
    name, has_value, value = directive.partition("=")
    if name in _FLAGS and not has_value:
        asked.flags |= {name}
    elif name == "duration" and (seconds := _seconds(value)) is not None:
        asked.duration_s = seconds
    elif name == "delay" and (seconds := _seconds(value)) is not None:
        asked.delay_s = seconds
    elif name == "submit" and (fault := _fault_named(value)):
        asked.submit = fault
    elif name == "poll" and (match := _POLL.fullmatch(value)) and (fault := _fault_named(match[1])):
        asked.polls.append(Repeated(fault, int(match[2] or 1)))
    else:
        return False
    return True


def parse_prompt(prompt: str) -> Directives:
    """Read the directives in a prompt. Raises `BadDirective` naming the first it does not understand.

    Whatever begins with `[sim:` is taken for a directive, so a misspelt one is never passed over.
    """
    asked = Directives()
    for number, (directive, closed) in enumerate(_DIRECTIVE.findall(prompt)):
        if number == MAX_DIRECTIVES:
            raise BadDirective(f"more than {MAX_DIRECTIVES} directives, from [sim:{directive}] on")
        if not closed:
            raise BadDirective(f"directive without an end: [sim:{directive}")
        if not _apply(directive, asked):
            raise BadDirective(f"unknown directive [sim:{directive}]")
    return asked


@dataclass(slots=True)
class _Armed(Repeated):
    """A fault that waits for calls of an operation."""

    operation: Operation


class ArmedFaults:
    """Faults armed through the control routes; each serves a number of matching calls, oldest first."""

    def __init__(self) -> None:
        self._armed: deque[_Armed] = deque(maxlen=MAX_TIMES)

    def arm(self, operation: Operation, fault: Fault, times: int) -> None:
        """Serve the next `times` calls of `operation` this fault; `any` is every call that needs a key."""
        self._armed.append(_Armed(fault, min(times, MAX_TIMES), operation))

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()

    def take(self, operation: str) -> Fault | None:
        """The fault this call gets, if one is armed."""
        for armed in self._armed:
            if armed.operation in (operation, "any"):
                armed.times -= 1
                if armed.times <= 0:
                    self._armed.remove(armed)
                return armed.fault
        return None
