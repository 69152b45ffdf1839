"""Work that several callers want at the same time is done once; all of them see its progress."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Message = TypeVar("Message")


class _Flight(Generic[Result, Message]):
    def __init__(self) -> None:
        self.listeners: list[Callable[[Message], None]] = []
        self.task: asyncio.Task[Result]
        self.abandoned = False

    def publish(self, message: Message) -> None:
        for listener in tuple(self.listeners):
            listener(message)


class Flights(Generic[Key, Result, Message]):
    """Tasks under way, by key. A task lives as long as somebody waits for it."""

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[Result, Message]] = {}

    def under_way(self, key: Key) -> bool:
        """Whether somebody does this work now."""
        return key in self._flights

    async def join(
        self,
        key: Key,
        work: Callable[[Callable[[Message], None]], Awaitable[Result]],
        listener: Callable[[Message], None],
    ) -> Result:
        """The result of `work`, or of the same work that is already under way.

        `work` gets a function to tell its progress to all who wait. An exception reaches all of
        them; each may join again, and then does the work itself.
        """
        while (flight := self._flights.get(key)) is not None and flight.abandoned:
            await asyncio.wait([flight.task])
        if flight is None:
            flight = self._start(key, work)
        flight.listeners.append(listener)
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.listeners.remove(listener)
            if not flight.listeners and not flight.task.done():
                await self._abandon(flight)

    def _start(
        self, key: Key, work: Callable[[Callable[[Message], None]], Awaitable[Result]]
    ) -> _Flight[Result, Message]:
        flight = _Flight[Result, Message]()

        async def run() -> Result:
            return await work(flight.publish)

        def landed(task: asyncio.Task[Result]) -> None:
            del self._flights[key]
            if not task.cancelled():
                task.exception()  # whoever waited has seen it

        flight.task = asyncio.create_task(run())
        flight.task.add_done_callback(landed)
        self._flights[key] = flight
        return flight

    async def _abandon(self, flight: _Flight[Result, Message]) -> None:
        """Ends work that nobody wants any more, and waits until it has cleaned up."""
        flight.abandoned = True
        flight.task.cancel()
        await asyncio.wait([flight.task])
