"""How many commands run at a time over one connection: as many as the host allows. No host is
asked here; whoever was refused says so.
"""

import asyncio


class Sessions:
    """Counts those that run: at most `most`, and fewer once the host has refused one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._ended = 0
        self._left = asyncio.Event()

    async def enter(self) -> int:
        """Waits until one more may run; its ticket."""
        while self._running >= self._most:
            self._left.clear()
            await self._left.wait()
        self._running += 1
        return self._ended

    def leave(self) -> None:
        """One that had entered runs no more."""
        self._running -= 1
        self._ended += 1
        self._left.set()

    def refused(self, ticket: int) -> bool:
        """The host has refused one that entered. False if no other one ran at the same time."""
        others = self._running - 1
        if others == 0 and self._ended == ticket:
            return False
        self._most = max(1, min(self._most - 1, others or self._most))
        return True
