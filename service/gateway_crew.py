"""Several gateway processes on one port: started, started again when they die, and ended in order.

They share one listening socket. With a socket for each (`SO_REUSEPORT`) the kernel gives every connection to one of
them for good, and whatever waits at one that dies or ends is reset; here it is taken by the next that is free. Each is
a program started anew and no fork: nothing is shared that must not be, such as event loops and random numbers.
"""

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import structlog

from service.metrics.shared import forget, prepare, shared_directory
from service.server import bind, stop_event
from service.settings import Settings

UNUSABLE: Final = 78
"""The status of a gateway that cannot work as things are set: starting it again would mend nothing."""

FIRST_DELAY_S: Final = 0.25
MAX_DELAY_S: Final = 30.0
"""How long the first wait is before a dead gateway's successor is started, and the longest: each is twice the last."""

WELL_AFTER_S: Final = 60.0
"""One that has lived that long did well: the waits begin anew."""

_PAST_THE_DRAIN_S: Final = 5.0

_NOT_STARTED: Final = 71  # as sysexits.h has it: the system has no room for another process

log = structlog.get_logger()


async def run_crew(settings: Settings, count: int) -> int:
    """Keep `count` gateways running until SIGTERM or SIGINT; the exit status. Raises `PortBusy`."""
    listening = bind(settings.host, settings.port, "BREAKWATER_HOST, BREAKWATER_PORT")
    with shared_directory() as directory:
        crew = _Crew(settings, listening, directory)
        with stop_event(on_set=crew.stop):
            statuses = await asyncio.gather(*(crew.keep(number) for number in range(count)))
    log.info("gateways stopped", statuses=statuses)
    return next((status for status in statuses if status), 0)


class _Crew:
    """The gateways of one port."""

    def __init__(self, settings: Settings, listening: socket.socket, directory: Path) -> None:
        self._within_s = settings.shutdown_grace_s + settings.drain_s + _PAST_THE_DRAIN_S
        self._listening = listening
        self._directory = directory
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Pass the signal on: each has its grace and drain, and a second one ends the grace. Who hangs is killed."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._listening.close()  # each has its own, and what nobody listens on any more is refused
            asyncio.get_running_loop().call_later(self._within_s, self._signal, signal.SIGKILL)
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        """Send all that run a signal."""
        for process in self._running.values():
            process.send_signal(number)

    async def keep(self, number: int) -> int:
        """Have one gateway running in a place until it is told to stop; the exit status."""
        loop, delay_s = asyncio.get_running_loop(), FIRST_DELAY_S
        while not self._stopping.is_set():
            started_s = loop.time()
            try:
                status = await self._run(number)
            except OSError as failed:  # no memory, process or disk for it now: the others go on
                log.error("a gateway cannot be started", place=number, reason=str(failed))
                status = _NOT_STARTED
            if self._stopping.is_set():
                return status
            if status == UNUSABLE:  # it has said why; the others are no better off
                self.stop()
                return 1
            if loop.time() - started_s >= WELL_AFTER_S:
                delay_s = FIRST_DELAY_S
            log.error("a gateway ended and is started again", place=number, status=status, in_s=delay_s)
            await self._wait(delay_s)
            delay_s = min(MAX_DELAY_S, 2 * delay_s)
        return 0

    async def _wait(self, seconds: float) -> None:
        """Wait, but not past the signal to stop."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _run(self, number: int) -> int:
        """Run one gateway to its end; its exit status, as a shell would tell it."""
        prepare(self._directory, number)
        descriptor = self._listening.fileno()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service", "serve", "--place", f"{number}:{descriptor}:{self._directory}"),
            stdin=asyncio.subprocess.PIPE,  # it ends with us, however we end
            pass_fds=[descriptor],
            process_group=0,  # Ctrl-C reaches only us: it would be the second signal
        )
        self._running[number] = process
        log.info("gateway started", place=number, pid=process.pid)
        if self._stopping.is_set():  # it was not there yet when the others were told
            process.terminate()
        status = await process.wait()
        del self._running[number]
        forget(self._directory, number)
        if self._stopping.is_set() and status == -signal.SIGTERM:  # told before it had begun to serve
            return 0
        return 128 - status if status < 0 else status
