"""What only the operator knows: asked when it is needed, one question at a time, never kept.

Threads that connect ask on the event loop, so that an interrupt ends the question as well.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

_Answer = TypeVar("_Answer")

_LOOK = 0.2


class Questions(Protocol):
    """Asks the operator. None: no answer is to be had, as in a script."""

    async def passphrase(self, key: Path) -> str | None:
        """What opens the private key in that file."""
        ...

    async def sudo_password(self, machine: str, user: str) -> str | None:
        """What sudo asks that user of that machine for."""
        ...


class NoAnswers:
    """Questions, where nobody is there to be asked."""

    async def passphrase(self, key: Path) -> str | None:
        """See Questions."""
        return None

    async def sudo_password(self, machine: str, user: str) -> str | None:
        """See Questions."""
        return None


class Asker:
    """For a thread: has something done on the loop, and waits until `given_up` says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, given_up: Callable[[], bool]) -> None:
        self._loop = loop
        self._given_up = given_up

    def answer(self, asking: Coroutine[Any, Any, _Answer | None]) -> _Answer | None:
        """What comes of it; None if nobody waits for it any more."""
        future = asyncio.run_coroutine_threadsafe(asking, self._loop)
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                if future.done():
                    raise
                if self._given_up():
                    future.cancel()
                    return None
