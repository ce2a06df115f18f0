"""Logs are JSON, one object a line, whatever is logged."""

import asyncio
import io
import subprocess
import sys
import textwrap
from typing import Any, Final

import pytest
from pydantic_core import from_json

from service.logs import LineWriter

FIELDS: Final = {"at", "level", "process", "event"}


def logged(script: str, level: str = "info") -> list[dict[str, Any]]:
    """What a process logs that runs `script`; every line must be a JSON object, and standard output empty."""
    start = f"""
        import logging, structlog
        from service.logs import configure_logging
        configure_logging({level!r}, "gateway")
        log = structlog.get_logger()
    """
    program = textwrap.dedent(start) + textwrap.dedent(script)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=True)
    assert ended.stdout == b""
    lines = [from_json(line, allow_inf_nan=False) for line in ended.stderr.splitlines()]
    assert all(set(line) >= FIELDS for line in lines)
    return lines


def test_every_kind_of_line() -> None:
    """Our own fields, exceptions with their traceback, values JSON cannot say, several lines in one text."""
    lines = logged(
        """
        log.info("plain", tenant="acme", number=5, nothing=None)
        try:
            {}["missing"]
        except KeyError:
            log.exception("failed")
        log.info("strange", an_object=object, some_bytes=b"text", a_set={1}, large=10**30)
        log.info("two\\nlines", text='quote " and \\x00 and \\u2028')
        """
    )
    plain, failed, strange, two = lines
    assert {name: plain[name] for name in plain if name != "at"} == {
        "level": "info",
        "process": "gateway",
        "event": "plain",
        "tenant": "acme",
        "number": 5,
        "nothing": None,
    }
    assert plain["at"].endswith("+00:00")
    assert failed["level"] in ("error", "exception")
    assert "Traceback" in failed["exception"]
    assert "KeyError: 'missing'" in failed["exception"]
    assert strange["an_object"] == "<class 'object'>"
    assert two["event"] == "two\nlines"


@pytest.mark.parametrize(
    "call",
    [
        'log.info("kept", value=b"\\xff")',
        'log.info("kept", value="\\ud800")',
        'log.info("kept", value=Unprintable())',
        'log.info("kept", value=float("inf"))',
        'log.info("kept", exc_info=ValueError("\\udcff"))',
        'logging.getLogger("library").info("kept %d", "no number")',
    ],
)
def test_a_line_that_cannot_be_written_as_it_is_raises_nothing(call: str) -> None:
    """Logging never breaks what is logged: the line comes out with a stand-in, the next one as ever."""
    lines = logged(
        f"""
        class Unprintable:
            def __repr__(self):
                raise RuntimeError("no text")

        {call}
        log.info("next")
        """
    )
    assert lines[0]["event"].startswith("kept")
    assert lines[-1]["event"] == "next"


def test_libraries_records_are_lines_of_ours() -> None:
    """Arguments filled in, the library named, the traceback kept; a quiet library's chatter left out."""
    lines = logged(
        """
        logging.getLogger("some.library").info("%s of %d", "one", 2)
        logging.getLogger("arq.worker").info("chatter")
        logging.getLogger("uvicorn.error").warning("a warning")
        logging.getLogger("some.library").critical("worst")
        logging.getLogger("some.library").log(25, "a level of its own")
        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger("asyncio").exception("task failed")
        """
    )
    assert [(line["event"], line["logger"], line["level"]) for line in lines] == [
        ("one of 2", "some.library", "info"),
        ("a warning", "uvicorn.error", "warning"),
        ("worst", "some.library", "critical"),
        ("a level of its own", "some.library", "error"),
        ("task failed", "asyncio", "error"),
    ]
    assert "ZeroDivisionError" in lines[-1]["exception"]


@pytest.mark.parametrize(
    ("level", "kept"),
    [("debug", ["d", "i", "w", "e"]), ("info", ["i", "w", "e"]), ("warning", ["w", "e"]), ("error", ["e"])],
)
def test_what_is_less_severe_is_left_out(level: str, kept: list[str]) -> None:
    """Ours and the libraries' alike."""
    lines = logged(
        """
        log.debug("d"), log.info("i"), log.warning("w"), log.error("e")
        library = logging.getLogger("library")
        library.debug("d"), library.info("i"), library.warning("w"), library.error("e")
        """,
        level,
    )
    assert [line["event"] for line in lines if "logger" not in line] == kept
    assert [line["event"] for line in lines if "logger" in line] == kept


class Stream(io.BytesIO):
    """Counts how often it is written to."""

    writes = 0

    def write(self, data: Any, /) -> int:
        """Take it."""
        self.writes += 1
        return super().write(data)


async def test_the_lines_of_one_turn_are_written_together() -> None:
    """One write for all of them, in order, when the turn ends; the next turn has a write of its own."""
    stream = Stream()
    writer = LineWriter(stream)
    writer.info(b"one")
    writer.error(b"two")
    assert stream.writes == 0
    await asyncio.sleep(0)
    assert (stream.getvalue(), stream.writes) == (b"one\ntwo\n", 1)
    writer.info(b"three")
    await asyncio.sleep(0)
    assert (stream.getvalue(), stream.writes) == (b"one\ntwo\nthree\n", 2)


def test_without_a_loop_a_line_is_written_at_once() -> None:
    """Each by itself: there is no turn to wait for."""
    stream = Stream()
    writer = LineWriter(stream)
    writer.info(b"one")
    assert stream.getvalue() == b"one\n"
    writer.flush()
    assert stream.writes == 1


def test_a_writer_outlives_the_loop_its_lines_were_taken_in() -> None:
    """Lines of a turn that never ended come out with the next line."""
    stream = Stream()
    writer = LineWriter(stream)

    async def last_words() -> None:
        writer.info(b"last words")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(last_words())
    loop.close()
    writer.info(b"after")
    assert stream.getvalue() == b"last words\nafter\n"
