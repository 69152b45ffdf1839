"""Limits of time that are over when a test says so, however fast or slow the machine is."""

import asyncio
from collections.abc import Callable


class _Ahead:
    """A loop's clock that can be put forward."""

    def __init__(self, before: Callable[[], float]) -> None:
        self._before = before
        self.seconds = 0.0

    def __call__(self) -> float:
        return self._before() + self.seconds


def elapse(seconds: float) -> None:
    """On the running loop so much time has gone by at once; its timers that are due go off.

    Whoever keeps the loop's clock is put forward, too, if he took it after the first call.
    """
    loop = asyncio.get_running_loop()
    clock = loop.time
    if not isinstance(clock, _Ahead):
        clock = _Ahead(clock)
        loop.time = clock  # type: ignore[method-assign]
    clock.seconds += seconds
