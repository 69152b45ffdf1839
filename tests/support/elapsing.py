"""Limits of time that are over when a test says so, however fast or slow the machine is."""

import asyncio


def elapse(seconds: float) -> None:
    """On the running loop so much time has gone by at once; its timers that are due go off."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
