"""Logs: one JSON object a line on standard error, for our own events and for the libraries'.

Never a key, secret, prompt or signed URL: what is logged is named field by field, nothing is dumped.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, Processor, WrappedLogger

from service.domain.timestamps import to_the_second

_QUIET: Final = ("arq", "uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpx2", "aiohttp", "asyncio")
"""Libraries whose chatter says nothing our own lines do not say better; their warnings are kept."""


class LineWriter:
    """Writes the lines of one event-loop turn together: a request does not wait for a write of its own.

    Outside a running loop each line is written at once. Lines are flushed when the turn ends, so a killed process can
    lose those of its last turn.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []

    def msg(self, line: bytes) -> None:
        """Take one line."""
        self._lines.append(line)
        if len(self._lines) > 1:
            return  # the flush of this turn is arranged
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            self.flush()

    debug = info = warning = error = critical = msg

    def flush(self) -> None:
        """Write what has been taken."""
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write(b"\n".join(lines) + b"\n")
            self._stream.flush()


def _text(value: object) -> str:
    """What stands in a line for something JSON cannot say."""
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def _json_line(fields: EventDict) -> bytes:
    """One JSON object; whatever is in it, a line comes out, since logging must not break what is logged."""
    try:
        return to_json(fields, fallback=_text, inf_nan_mode="strings", bytes_mode="hex")
    except ValueError:  # a lone surrogate somewhere: UTF-8 cannot carry it, its escape can
        return to_json({name: _text(value).encode(errors="backslashreplace") for name, value in fields.items()})


def _line_of(process: str) -> Processor:
    """A processor that says when, how severe and where: one step, because a request pays for every step."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, method, event)
        event["at"], event["level"], event["process"] = _now(), method, process
        return _json_line(event)

    return render


def _now() -> str:
    """The time in RFC 3339, to the microsecond."""
    second, micros = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{to_the_second(second)}.{micros:06d}+00:00"


def _logger_class(threshold: int) -> type[structlog.BoundLoggerBase]:
    """A logger that says what is at the threshold or above: structlog's own in fewer steps, since each line pays."""

    def method(level: str) -> Callable[..., None]:
        def say(self: structlog.BoundLoggerBase, event: str, **fields: Any) -> None:
            event_dict: Any = {**self._context, **fields, "event": event}
            try:
                for process in self._processors:
                    event_dict = process(self._logger, level, event_dict)
            except structlog.DropEvent:
                return
            self._logger.msg(event_dict)

        def say_nothing(self: structlog.BoundLoggerBase, event: str, **fields: Any) -> None:
            """Below the threshold."""

        return say if logging.getLevelNamesMapping()[level.upper()] >= threshold else say_nothing

    said = {level: method(level) for level in ("debug", "info", "warning", "error", "critical")}

    def exception(self: structlog.BoundLoggerBase, event: str, **fields: Any) -> None:
        said["error"](self, event, **({"exc_info": True} | fields))

    return type("Logger", (structlog.BoundLoggerBase,), {**said, "exception": exception})


class _LibraryHandler(logging.Handler):
    """Hands the libraries' log records to our own logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on, with its traceback."""
        log: Any = structlog.get_logger()
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit their text
            text = _text(record.msg)
        level = record.levelname.lower()
        getattr(log, level if hasattr(log, level) else "error")(
            text, logger=record.name, **({"exc_info": record.exc_info} if record.exc_info else {})
        )


def configure_logging(level: str, process: str) -> None:
    """Set up logging for this process (`gateway`, `gateway-0`, `worker`, `cli`), at `level` and above."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    writer = LineWriter(sys.stderr.buffer)
    structlog.configure(
        processors=[_line_of(process)],
        wrapper_class=_logger_class(threshold),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(threshold)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
