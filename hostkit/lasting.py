"""Tasks that last as long as what started them: none of them may end by itself.

Never restarts one; whoever owns them decides what their end means.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class LastingTasks:
    """`start` them, `stop` them all. `ended` hears of each end in between, and why.

    A task that returned gives RuntimeError.
    """

    def __init__(self, ended: Callable[[BaseException], None]) -> None:
        self._ended = ended
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins one, on the running loop."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def may_end(self) -> None:
        """The owner is stopping: what ends from now on is told no more."""
        self._stopping = True

    async def stop(self) -> None:
        """Cancels all and waits for them. May be called again."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._stopping:
            return
        self._ended(task.exception() or RuntimeError(f"{task.get_coro()} has ended by itself"))
