"""Channels from a node to managers, for calls that it passes on, whether it is one or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc


class _Line:
    """A channel, and how many calls it carries."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.calls = 0


class ManagerChannels:
    """One channel per address (host:port), made when it is needed, kept until `renew`.

    `connect` makes a channel with the present credentials, and does not wait.
    """

    def __init__(self, connect: Callable[[str], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._lines: dict[str, _Line] = {}
        self._retired: set[_Line] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def to(self, address: str) -> AsyncIterator[grpc.aio.Channel]:
        """The channel to this address, for the time of one call."""
        line = self._lines.get(address)
        if line is None:
            line = self._lines[address] = _Line(self._connect(address))
        line.calls += 1
        try:
            yield line.channel
        finally:
            line.calls -= 1
            self._discard_unused()

    def renew(self) -> None:
        """From the next call on channels have the credentials of then; calls under way go on."""
        self._retired.update(self._lines.values())
        self._lines.clear()
        self._discard_unused()

    async def close(self) -> None:
        """Ends every call."""
        lines = [*self._lines.values(), *self._retired]
        self._lines.clear()
        self._retired.clear()
        await asyncio.gather(*(line.channel.close() for line in lines), *self._closing)

    def _discard_unused(self) -> None:
        for line in [each for each in self._retired if not each.calls]:
            self._retired.remove(line)
            closing = asyncio.create_task(line.channel.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
