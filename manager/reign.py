"""Begins a leader's duties when this manager leads, and ends them with its term.

Also where it leads the next term as well: somebody else may have led in between.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from manager.forwarding.leadership import Leadership


class Reign:
    """`duties` makes one time of leading: a coroutine that works until it is cancelled."""

    def __init__(
        self, leadership: Leadership, duties: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._leadership = leadership
        self._duties = duties

    async def run(self) -> None:
        """Follows the leadership until cancelled; raises what a duty fails with."""
        changed = asyncio.Event()
        stop = self._leadership.subscribe(changed.set)
        duties: asyncio.Task[None] | None = None
        term = 0
        try:
            while True:
                changed.clear()
                leads = self._leadership.is_leader
                if leads and duties is None:
                    term = self._leadership.term
                    duties = asyncio.create_task(self._duties())
                    duties.add_done_callback(lambda _: changed.set())
                elif duties is not None and (not leads or term != self._leadership.term):
                    await _end(duties)
                    duties = None
                elif duties is not None and duties.done():
                    await duties
                    raise AssertionError("the duties of a leader never end by themselves")
                else:
                    await changed.wait()
        finally:
            stop()
            if duties is not None:
                await _end(duties)


async def _end(duties: asyncio.Task[None]) -> None:
    duties.cancel()
    await asyncio.wait([duties])
    if not duties.cancelled():
        duties.result()
