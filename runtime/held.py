"""A container as its driver holds it in memory. What is on disk is `record`'s."""

import asyncio

from runtime.driver import ExitResult
from runtime.record import Record


class Held:
    """One container in memory: its record, its end, and a lock that its changes are made under."""

    def __init__(self) -> None:
        self.record: Record | None = None  # while it is being created
        self.ended: asyncio.Future[ExitResult] = asyncio.get_running_loop().create_future()
        self.lock = asyncio.Lock()

    def end(self, result: ExitResult) -> None:
        """Tells whoever waits; only the first end counts."""
        if not self.ended.done():
            self.ended.set_result(result)

    def renew(self) -> None:
        """It has ended, and is about to begin again."""
        self.ended = asyncio.get_running_loop().create_future()
