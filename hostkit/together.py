"""Several coroutines that live and end together.

asyncio.TaskGroup is not used for this: in Python 3.11 it leaves its caller half cancelled when a
part fails, lets that failure win over a cancellation of the caller, and hides a part that was
cancelled.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

Part = Coroutine[Any, Any, Any]


async def alongside(*parts: Part) -> None:
    """Runs all parts until the first of them ends, and cancels the others.

    Raises what that one raised; of several, the first in the order given.
    """
    await _run(parts, asyncio.FIRST_COMPLETED)


async def together(*parts: Part) -> None:
    """Runs all parts to their end; one that fails ends the others.

    Raises what that one raised; of several, the first in the order given.
    """
    await _run(parts, asyncio.FIRST_EXCEPTION)


async def _run(parts: tuple[Part, ...], until: str) -> None:
    running = [asyncio.create_task(part) for part in parts]
    ended: set[asyncio.Task[Any]] = set()
    try:
        if running:
            ended, _ = await asyncio.wait(running, return_when=until)
    finally:
        for part in running:
            part.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    for part in running:
        if part in ended:
            if part.cancelled():
                raise RuntimeError(f"{part.get_coro()} was cancelled by itself")
            part.result()
