"""Carries what a thread hears to the event loop, one piece at a time, so that nothing piles up."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

_Word = TypeVar("_Word")

_LOOK = 0.2


class TellingError(Exception):
    """Whoever was told something has failed."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause


class Teller:
    """Calls of one exchange's thread, made on the loop; an error there ends the thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.stopped = threading.Event()

    def lines(self, tell: Callable[[str], None] | None) -> Callable[[list[str]], None] | None:
        """What the thread calls with lines; `tell` gets each of them."""
        if tell is None:
            return None

        def each(lines: list[str]) -> None:
            for line in lines:
                tell(line)

        return lambda lines: self._call(each, lines)

    def counts(self, tell: Callable[[int], None] | None) -> Callable[[int], None] | None:
        """What the thread calls with a number; `tell` gets it."""
        if tell is None:
            return None
        return lambda count: self._call(tell, count)

    def _call(self, tell: Callable[[_Word], None], word: _Word) -> None:
        done = threading.Event()
        failures: list[BaseException] = []

        def call() -> None:
            try:
                tell(word)
            except BaseException as error:
                failures.append(error)
            finally:
                done.set()

        self._loop.call_soon_threadsafe(call)
        while not done.wait(_LOOK):
            if self.stopped.is_set():
                return
        if failures:
            raise TellingError(failures[0])
