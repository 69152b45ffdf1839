"""A relay for TCP on loopback that can be frozen: connections stay, and nothing passes any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FreezingRelay:
    """Passes bytes on to `target` (a port) while `running` is set, as a process does that lives."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self.running = asyncio.Event()
        self.running.set()
        self.held = asyncio.Event()
        """Set once something has come that waits for it to run again."""
        self.port = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        there = await asyncio.open_connection("127.0.0.1", self._target)
        ways = ((reader, there[1]), (there[0], writer))
        self._tasks |= {asyncio.create_task(self._pass_on(*way)) for way in ways}

    async def close(self) -> None:
        """Drops all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if not self.running.is_set():
                    self.held.set()
                await self.running.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def freezing_relay(target: int) -> AsyncIterator[FreezingRelay]:
    """A relay to this port of loopback."""
    relay = FreezingRelay(target)
    server = await asyncio.start_server(relay.connected, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
