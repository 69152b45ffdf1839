"""When a leader tells the others that entries are committed, if nothing else tells them.

The next entries carry the commit index along, and a serial writer sends them at once; a message of
its own for each commit would be half of all messages. So it waits a moment for them.
"""

import asyncio
from collections.abc import Callable

from manager.raft.core.raw_node import RawNode

DELAY = 0.005
"""Seconds by which other managers may learn of a commit later."""


class Telling:
    """`look` after each round; `tell` is called on the loop when the moment has passed."""

    def __init__(self, raw: RawNode, tell: Callable[[], None]) -> None:
        self._raw = raw
        self._tell = tell
        self._committed = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether somebody is to be told."""
        return self._timer is not None

    def look(self) -> None:
        """Something may have been committed."""
        if self._timer is None and self._raw.has_untold_commit():
            self._committed = self._raw.committed
            self._timer = asyncio.get_running_loop().call_later(DELAY, self._due)

    def end(self) -> None:
        """Nobody is told any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._raw.committed != self._committed:
            self.look()  # entries are on their way all the time: they tell
        elif self._raw.has_untold_commit():
            self._tell()
