"""A primary, a replica and three sentinels, as processes on 127.0.0.1."""

import asyncio
import os
import signal
import subprocess
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.embedded_redis import find_binary, guarded, stop_guarded
from tests.conftest import TEST_SERVER
from tests.journeys.system import free_port
from tests.waiting import wait_until

MASTER: Final = "videos"
SENTINELS: Final = 3
DOWN_AFTER_MS: Final = 1_000
"""How long sentinels wait for a sign of life before they agree on another primary."""


@dataclass
class Sentinels:
    """Everything runs for the time of the `async with` block."""

    directory: Path
    nodes: list[int] = field(default_factory=list)
    sentinels: list[int] = field(default_factory=list)
    _guardians: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        self.nodes = [free_port(), free_port()]
        primary, replica = self.nodes
        await self._start(primary, "--appendonly", "yes", "--appendfsync", "always")
        await self._start(
            replica, "--appendonly", "yes", "--appendfsync", "always", "--replicaof", "127.0.0.1", str(primary)
        )
        await wait_until(lambda: self._says(replica, "master_link_status", "up"), what="the replica follows")
        for _ in range(SENTINELS):
            port = free_port()
            await self._start(port, "--sentinel", configuration=self._configuration(port, primary))
            self.sentinels.append(port)
        for port in self.sentinels:
            await wait_until(lambda port=port: self._agrees(port), what="the sentinels know each other")  # type: ignore[misc]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def addresses(self) -> str:
        """The sentinels as the setting has them."""
        return ",".join(f"127.0.0.1:{port}" for port in self.sentinels)

    async def primary(self) -> int:
        """The port of the primary as the first sentinel that answers knows it."""
        for port in self.sentinels:
            with suppress(RedisError, OSError):
                async with Redis(port=port, socket_timeout=1.0) as client:
                    found = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)  # type: ignore[no-untyped-call]
                    return int(found[1])
        raise AssertionError("no sentinel answers")

    async def kill(self, port: int) -> None:
        """SIGKILL the server on that port."""
        async with Redis(port=port) as client:
            os.kill(int((await client.info("server"))["process_id"]), signal.SIGKILL)
        await asyncio.to_thread(self._guardians[port].wait, 10)

    async def switch(self) -> None:
        """Have the sentinels make the replica the primary, as for maintenance."""
        before = await self.primary()
        async with Redis(port=self.sentinels[0]) as client:
            await client.execute_command("SENTINEL", "FAILOVER", MASTER)  # type: ignore[no-untyped-call]

        async def switched() -> bool:
            return await self.primary() != before

        await wait_until(switched, timeout_s=30, what="another primary")

    def _configuration(self, port: int, primary: int) -> str:
        return (
            f"port {port}\nbind 127.0.0.1\ndir {self.directory}\nsentinel monitor {MASTER} 127.0.0.1 {primary} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\nsentinel failover-timeout {MASTER} 5000\n"
        )

    async def _start(self, port: int, *options: str, configuration: str = "") -> None:
        """Start one server and wait until it answers."""
        directory = self.directory / str(port)
        directory.mkdir(parents=True)
        file = directory / "server.conf"
        file.write_text(configuration or f"port {port}\nbind 127.0.0.1\ndir {directory}\nsave ''\n")
        binary = os.environ.get(TEST_SERVER) or find_binary()
        guardian = self._guardians[port] = guarded([binary, str(file), *options], directory / "log")
        self._stack.callback(stop_guarded, guardian)
        await wait_until(lambda: self._answers(port), timeout_s=15, what=f"the server on {port} answers")

    async def _answers(self, port: int) -> bool:
        with suppress(RedisError, OSError):
            async with Redis(port=port, socket_timeout=1.0) as client:
                return bool(await client.ping())
        return False

    async def _says(self, port: int, field_name: str, wanted: str) -> bool:
        async with Redis(port=port) as client:
            return bool((await client.info("replication")).get(field_name) == wanted)

    async def _agrees(self, port: int) -> bool:
        """Whether a sentinel knows the replica and the other sentinels."""
        async with Redis(port=port, decode_responses=True) as client:
            told = await client.execute_command("SENTINEL", "MASTER", MASTER)  # type: ignore[no-untyped-call]
            known = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
            return int(known["num-slaves"]) == 1 and int(known["num-other-sentinels"]) == SENTINELS - 1
