"""Waiting for what other tasks and processes bring about, where nothing tells of it."""

import asyncio
import time
from collections.abc import Callable

LIMIT = 20.0
"""Seconds after which the test has failed."""
STEP = 0.02


async def until(true: Callable[[], bool]) -> None:
    """Gives other tasks their turn until `true` is."""
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


def until_true(true: Callable[[], bool], what: str, seconds: float = LIMIT) -> None:
    """As `until`, of other processes."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(STEP)
