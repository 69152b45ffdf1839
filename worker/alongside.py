"""Several coroutines that live and end together."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def alongside(*parts: Coroutine[Any, Any, Any]) -> None:
    """Runs all parts until the first of them ends, and cancels the others.

    Raises what that one raised; of several, the first in the order given. asyncio.TaskGroup is not
    used for this: in Python 3.11 it leaves its caller half cancelled when a part fails, and hides a
    part that was cancelled.
    """
    running = [asyncio.create_task(part) for part in parts]
    try:
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for part in running:
            part.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    for part in running:
        if part in ended:
            if part.cancelled():
                raise RuntimeError(f"{part.get_coro()} was cancelled by itself")
            part.result()
