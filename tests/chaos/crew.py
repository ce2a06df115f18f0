"""The processes of a system that are killed at random, and started again."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from service.cli.local_system import LocalProcess
from tests.journeys.system import System, free_port

KILL_EVERY_S: Final = (0.4, 1.6)


@dataclass
class Crew:
    """Processes that are killed and started again: `start` by name."""

    system: System
    start: dict[str, Callable[[], Awaitable[LocalProcess]]]
    running: dict[str, LocalProcess] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)

    async def begin(self) -> None:
        """Start everybody."""
        for name, start in self.start.items():
            self.running[name] = await start()

    async def harass(self, chance: random.Random) -> None:
        """Kill one after another without warning, and start each again, until canceled."""
        while True:
            await asyncio.sleep(chance.uniform(*KILL_EVERY_S))
            name = chance.choice(sorted(self.running))
            self.system.kill(self.running[name])
            self.kills[name] += 1
            starting = asyncio.ensure_future(self.start[name]())
            try:
                await asyncio.shield(starting)
            finally:
                self.running[name] = await starting

    def end(self) -> None:
        """Kill everybody, for good: nothing moves any more."""
        for process in self.running.values():
            self.system.kill(process)
        self.running.clear()


def two_and_two(system: System, ports: list[int]) -> Crew:
    """A gateway on each of the ports, and two workers."""
    start: dict[str, Callable[[], Awaitable[LocalProcess]]] = {
        f"gateway-{port}": partial(system.start_another_gateway, port) for port in ports
    }
    for number in (1, 2):
        start[f"worker-{number}"] = lambda: system.start_another_worker(free_port())
    return Crew(system, start)
