"""Tells, soon after and in small pieces, what was noted of the commands that were applied.

Beside the writes and never in their way: nobody waits for it but who reads events.
"""

import asyncio
import logging

from manager.events.history import PIECE, History

logger = logging.getLogger(__name__)

SOON = 0.02
"""Seconds that events wait, so that those of many small writes are told together."""


class Settling:
    """`run` it beside whoever writes into the history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._noted = asyncio.Event()
        self._noted.set()  # something may be noted already
        history.noted = self._noted.set

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(SOON)
            if self._settle():
                self._noted.set()

    def _settle(self) -> bool:
        try:
            return self._history.settle(PIECE)
        except Exception:  # a manager must not fall, nor all of them, for what is told of its work
            logger.exception("an event could not be told: this is a defect, and it is left out")
            return True
