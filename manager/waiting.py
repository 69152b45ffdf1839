"""How coroutines of the manager wait: until a moment that may move while they wait."""

import asyncio
import contextlib
from collections.abc import Callable

from hostkit.clock import Clock, timer


async def until_due(
    woken: asyncio.Event, due: Callable[[], float | None], monotonic: Clock
) -> None:
    """Returns when `due()` has come; asks it again each time that `woken` is set.

    None means that nothing is due until then.
    """
    while True:
        woken.clear()
        at = due()
        left = None if at is None else at - monotonic()
        if left is not None and left <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if left is None else timer(left)):
                await woken.wait()
