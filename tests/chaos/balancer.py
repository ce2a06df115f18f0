"""A load balancer as a Kubernetes service is one: new connections go to ready gateways, open ones stay in place."""

import asyncio
from contextlib import suppress
from typing import Final, Self

import httpx2

LOOK_EVERY_S: Final = 0.05
"""How often each gateway's readiness is looked at."""


class Balancer:
    """Listens on a port of its own on 127.0.0.1, before gateways that come and go. It never tries again."""

    def __init__(self) -> None:
        self._known: list[str] = []
        self._ready: list[str] = []
        self._turn = 0
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        tasks = [self._watching, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, url: str) -> None:
        """Send connections to the gateway at `url` too, whenever it is ready."""
        self._known.append(url)

    def remove(self, url: str) -> None:
        """Forget a gateway that has ended."""
        self._known.remove(url)

    def sends_to(self, url: str) -> bool:
        """Whether new connections may go to a gateway now."""
        return url in self._ready

    async def _watch(self) -> None:
        """Look at everybody's readiness, over and over."""
        async with httpx2.AsyncClient(timeout=5.0, trust_env=False) as client:

            async def ready(url: str) -> bool:
                with suppress(httpx2.TransportError):
                    return (await client.get(f"{url}/readyz")).status_code == 200
                return False

            while True:
                known = list(self._known)
                answers = await asyncio.gather(*map(ready, known))
                self._ready = [url for url, answer in zip(known, answers, strict=True) if answer]
                await asyncio.sleep(LOOK_EVERY_S)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection in a task of its own."""
        connection = asyncio.create_task(self._carry(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the gateway whose turn it is, and carry bytes both ways until one side ends."""
        writers = [writer]
        try:
            self._turn += 1
            url = httpx2.URL(self._ready[self._turn % len(self._ready)])
            from_gateway, to_gateway = await asyncio.open_connection(url.host, url.port)
            writers.append(to_gateway)
            pumps = [
                asyncio.create_task(_pump(reader, to_gateway)),
                asyncio.create_task(_pump(from_gateway, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, ZeroDivisionError):  # refused, or nobody is ready: the client sees a closed connection
            pass
        finally:
            for open_writer in writers:
                open_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction to its end."""
    while chunk := await reader.read(65_536):
        writer.write(chunk)
        await writer.drain()
