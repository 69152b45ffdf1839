"""Threads of one connection, and the event loop that waits for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Answer = TypeVar("_Answer")


class Threads:
    """Runs work that blocks. `stuck`: seconds for it to end once it was told to; then `give_up`
    is called, after which nothing may block any more.
    """

    def __init__(self, most: int, name: str, *, stuck: float, give_up: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._stuck = stuck
        self._give_up = give_up

    async def run(self, work: Callable[[], _Answer], stop: Callable[[], None]) -> _Answer:
        """The answer of `work`. If nobody waits for it any more, `stop` has it end first.

        RuntimeError after `end`.
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not future.done():  # as it may be when the loop was held up
                await self._ended(future, stop)
            raise

    def end(self) -> None:
        """Blocks until every thread is gone."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _ended(self, future: "asyncio.Future[_Answer]", stop: Callable[[], None]) -> None:
        await asyncio.to_thread(stop)
        await asyncio.wait([future], timeout=self._stuck)
        if not future.done():
            await asyncio.to_thread(self._give_up)
            await asyncio.wait([future], timeout=self._stuck)
        if future.done() and not future.cancelled():
            future.exception()  # nobody else will look at it
