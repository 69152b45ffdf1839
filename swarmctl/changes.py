"""Changes of a host's life that are under way: each goes on to its end though its caller leaves."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Changes:
    """Of one node. `end` breaks off what is under way when the daemon stops."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Leads from one life to another. Ended by `end` alone, not by a caller that leaves."""

        def ended(task: asyncio.Task[T]) -> None:
            self._under_way.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.warning("%s failed: %s", name, error)

        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(ended)
        return await asyncio.shield(task)

    async def end(self) -> None:
        """Cancels every change and waits for it."""
        for change in self._under_way:
            change.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
