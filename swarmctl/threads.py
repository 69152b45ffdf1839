"""Blocking work in a thread, of which nobody may believe that it has ended while it has not."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")


async def to_its_end(work: Callable[[], R]) -> R:
    """What `work` returns or raises. A caller that is cancelled waits for it all the same.

    For changes of the disk that the next step must not overtake.
    """
    running = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
