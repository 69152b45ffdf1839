"""Calls that are being served, by who makes them: those of a removed node or operator end at once.

Knows who calls, not who may: that is asked of the caller of `end_where`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from api.errors import SwarmError

Who = TypeVar("Who")
"""What tells one caller from another."""


class _Call(Generic[Who]):
    """One call: the task that serves it, and what ended it."""

    def __init__(self, who: Who) -> None:
        self.who = who
        self.task = asyncio.current_task()
        self.ended: SwarmError | None = None

    def end(self, refusal: SwarmError) -> None:
        self.ended = refusal
        if self.task is not None:
            self.task.cancel()


class OpenCalls(Generic[Who]):
    """Of one server."""

    def __init__(self) -> None:
        self._calls: set[_Call[Who]] = set()

    @asynccontextmanager
    async def held(self, who: Who) -> AsyncIterator[None]:
        """Around the serving of one call; raises what ended it from outside."""
        call = _Call(who)
        self._calls.add(call)
        try:
            yield
        except asyncio.CancelledError:
            if call.ended is None:
                raise
            if call.task is not None:
                call.task.uncancel()
            raise call.ended from None
        finally:
            self._calls.discard(call)

    def end_where(self, refusal: Callable[[Who], SwarmError | None]) -> None:
        """Ends every call for whose maker there is a refusal."""
        for call in list(self._calls):
            error = None if call.ended else refusal(call.who)
            if error is not None:
                call.end(error)
