"""Waiting for what other asyncio tasks bring about, where nothing tells of it."""

import asyncio
from collections.abc import Callable

LIMIT = 20.0
"""Seconds after which the test has failed."""


async def until(true: Callable[[], bool]) -> None:
    """Gives other tasks their turn until `true` is."""
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)
