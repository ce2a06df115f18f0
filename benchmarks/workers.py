"""A worker of ours on the measured core, which stands still while others are measured there."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Final

from benchmarks.ground import process_settings, wait_ready
from benchmarks.measured import Figure, Round
from benchmarks.processes import Bench, cpu_s, metric, rate, redis_cpu_s, resident_bytes

LOOKS: Final = "breakwater_looks_total"
ENDED: Final = 'breakwater_looks_total{result="ended"'
DELIVERED: Final = 'breakwater_delivery_attempts_total{outcome="delivered"'
"""Series that count a worker's work."""

_AT_WORK_WITHIN_S: Final = 60.0


class Worker:
    """One worker process."""

    def __init__(self, bench: Bench, redis_url: str, stub_port: int, measured: bool = True, **settings: str) -> None:
        self.redis_url = redis_url
        self.metrics_port = bench.port()
        environment = process_settings(redis_url, stub_port, bench.port(), self.metrics_port, **settings)
        self.process: Popen[bytes] = bench.start("worker", measured=measured, settings=environment)
        wait_ready(self.metrics_port)

    def pause(self) -> None:
        """Stand still from now on."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Work again."""
        self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the core to another."""
        self.pause()
        try:
            yield
        finally:
            self.go_on()

    def done(self, series: str) -> int:
        """How much it has done, by one of its series."""
        return int(metric(self.metrics_port, series))

    def measure(self, series: str, seconds: float, *, with_redis: bool = False) -> Figure:
        """Work for so long: done per second of its CPU, or of its own and its Redis's."""
        redis_before = redis_cpu_s(self.redis_url)
        before, cpu, started = self.done(series), cpu_s(self.process), time.monotonic()
        time.sleep(seconds)
        done, used_s, took_s = self.done(series) - before, cpu_s(self.process) - cpu, time.monotonic() - started
        redis_s = redis_cpu_s(self.redis_url) - redis_before
        also = {"Redis µs each": redis_s / max(1, done) * 1e6, "/s of wall": done / took_s}
        used_s += redis_s if with_redis else 0.0
        return Figure(rate(done, used_s), resident_mb=resident_bytes(self.process) / 1e6, also=also)

    def await_work(self, series: str) -> None:
        """Wait until it is at work: a wake-up that came while it stood still may be lost, until the next sweep."""
        before, deadline = self.done(series), time.monotonic() + _AT_WORK_WITHIN_S
        while self.done(series) == before:
            if time.monotonic() > deadline:
                raise SystemExit(f"a worker did nothing for {_AT_WORK_WITHIN_S:g} s: there are no figures")
            time.sleep(0.02)

    def in_turn(self, series: str, *, with_redis: bool = False) -> Round:
        """A round of a worker that is paused between its rounds."""

        def run(seconds: float) -> Figure:
            self.go_on()
            try:
                self.await_work(series)
                return self.measure(series, seconds, with_redis=with_redis)
            finally:
                self.pause()

        return run


def bare(bench: Bench, module: str, port: int, rival: Worker, client: str = "aiohttp") -> Round:
    """A round of a bare loop over that client, in a process that ends with it, while the worker stands still."""

    def run(seconds: float) -> Figure:
        output = bench.directory / module
        with rival.paused():
            arguments = [str(port), str(seconds), str(output), client]
            bench.start(f"benchmarks.{module}", *arguments, measured=True).wait()
        done, took_s, used_s = (float(part) for part in output.read_text().split())
        return Figure(rate(int(done), used_s), also={"/s of wall": done / took_s})

    return run
