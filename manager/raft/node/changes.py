"""Tells who wants to know that something about this member has changed. Knows not what.

Everything happens on the loop, within `tell`, at once: what is told is still true.
"""

import asyncio
from collections.abc import Callable

from api.errors import SwarmError


class Changes:
    """Callbacks for each change, and tasks that wait for a condition."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._ended: SwarmError | None = None

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls it on each change; it must not raise, and return soon. Returns how to end that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once `condition` was true, though it may be no more; SwarmError after `end`."""
        if condition():
            return
        if self._ended is not None:
            raise self._ended
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, done))
        await done

    def check(self) -> None:
        """Looks at the conditions: something may have changed that callbacks are not told of."""
        if not self._waiting:
            return
        for condition, done in self._waiting:
            if not done.done() and condition():
                done.set_result(None)
        self._waiting = [each for each in self._waiting if not each[1].done()]

    def tell(self) -> None:
        """Something has changed."""
        for callback in list(self._callbacks):
            callback()
        self.check()

    def end(self, why: SwarmError) -> None:
        """The last change. Who waits for a condition that is not true gets `why`."""
        self._ended = why
        self.tell()
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(why)
        self._waiting = []
