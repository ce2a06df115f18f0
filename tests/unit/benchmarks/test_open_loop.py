"""The open loop of the benchmarks: what is slow is charged with everybody who would have come meanwhile."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.answers import answer_length, is_good
from benchmarks.open_loop import Timeline, run

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_requests_fall_due_at_the_rate_whoever_was_answered() -> None:
    """After half a second without a single answer, half a second's requests wait, each with its own time."""
    timeline = Timeline(start=100.0, rate=10.0, seconds=1.0)
    timeline.advance(100.45)
    assert [timeline.take() for _ in range(6)] == pytest.approx([100.0, 100.1, 100.2, 100.3, 100.4, None])
    assert timeline.next_at == pytest.approx(100.5)


def test_nothing_falls_due_after_the_last() -> None:
    """There are as many as rate and time make, however late it is."""
    timeline = Timeline(start=0.0, rate=10.0, seconds=1.0)
    timeline.advance(1_000.0)
    assert len(timeline.waiting) == timeline.total == 10
    assert timeline.next_at is None


def test_nothing_is_due_before_its_time() -> None:
    """The first one waits for the start."""
    timeline = Timeline(start=5.0, rate=1.0, seconds=3.0)
    timeline.advance(4.999)
    assert timeline.take() is None
    assert timeline.next_at == 5.0


@contextmanager
def answering(after_s: float, answer: bytes = ANSWER) -> Iterator[int]:
    """A server of one connection that answers its first request late and all others at once; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                first = True
                while connection.recv(65_536):
                    if first:
                        time.sleep(after_s)  # the server's stall is what is measured
                        first = False
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def test_a_stall_is_charged_to_all_who_would_have_come() -> None:
    """One connection, stalled for 0.3 s: the requests of that time are late too, and each less than the one before."""
    with answering(0.3) as port:
        latencies_ms = run(port, [b"GET / HTTP/1.1\r\n\r\n"], rate=20.0, seconds=0.25, connections=1)
    assert len(latencies_ms) == 5
    assert latencies_ms[0] >= 300.0
    for number, late_ms in enumerate(
        latencies_ms
    ):  # counted from the answer, they would all but the first be next to 0
        assert late_ms >= 300.0 - 50.0 * number - 1.0


def test_a_bad_answer_ends_the_measurement() -> None:
    """A rate of refusals is no rate."""
    with (
        answering(0.0, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as port,
        pytest.raises(SystemExit, match="503"),
    ):
        run(port, [b"GET / HTTP/1.1\r\n\r\n"], rate=100.0, seconds=0.05, connections=1)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcde0\r\n0\r\n\r\n",
    ],
)
def test_an_answer_is_complete_with_its_last_byte(answer: bytes) -> None:
    """Neither before nor after, and what follows is the next one's."""
    assert [answer_length(answer[:size]) for size in range(len(answer))] == [0] * len(answer)
    assert answer_length(answer) == len(answer)
    assert answer_length(answer + ANSWER) == len(answer)
    assert is_good(answer)
