"""A few threads for blocking steps, called from the event loop.

Their number is the gate for how many containers are made or started at once: that is bound by CPU,
and more than two per core at a time only make each other slow.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_PER_CORE = 2
_LEAST = 4


class Workers:
    """The threads. Never forks: a fork of a threaded process may hang on anyone's lock."""

    def __init__(self) -> None:
        count = max(_LEAST, _PER_CORE * (os.cpu_count() or 1))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="container")

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a blocking call.

        Cancelled, it still waits for the end of the call, for a thread cannot be stopped half-way;
        so a lock that the caller holds covers all that is done under it.
        """
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: job(*args, **kwargs)
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            with contextlib.suppress(BaseException):
                future.result()
            raise

    async def close(self) -> None:
        """Waits for what is being done; nothing more can be run."""
        await asyncio.to_thread(self._threads.shutdown)
