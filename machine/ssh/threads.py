"""Threads of one connection, and the event loop that waits for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Answer = TypeVar("_Answer")


class EndedError(Exception):
    """There are no threads any more; the work was not begun."""


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

        EndedError after `end`, also if that comes before a thread took the work.
        """
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError:
            raise EndedError from None
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.cancelled() and not _is_cancelled():
                raise EndedError from None
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


def _is_cancelled() -> bool:
    """Whether who waits is to end, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
