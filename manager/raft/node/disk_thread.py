"""The one thread in which a manager's log and snapshots are written, in the order of asking.

A thread of its own rather than an executor: the way there and back is on the path of every write,
and takes half as long. Never decides what is written.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class DiskThread:
    """Runs one piece of work at a time. `start` it on the loop that awaits it; `close` it."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="wal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[asyncio.Future[Any]] = set()

    @property
    def busy(self) -> bool:
        """Whether there is work whose outcome nobody has been told yet."""
        return bool(self._under_way)

    def start(self) -> None:
        """Begins to take work."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def run(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """Done with what `work` returned or raised. A cancelled wait does not stop the work."""
        if self._loop is None:
            raise RuntimeError("the disk's thread does not run")
        done: asyncio.Future[R] = self._loop.create_future()
        self._under_way.add(done)
        done.add_done_callback(self._under_way.discard)
        self._work.put((work, done))
        return done

    def close(self) -> None:
        """Waits for the work that was given; blocks for as long as the disk does."""
        if self._loop is None:
            return
        self._loop = None
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (given := self._work.get()) is not None:
            work, done = given
            try:
                result = work()
            except BaseException as error:
                _tell(done, done.set_exception, error)
            else:
                _tell(done, done.set_result, result)


def _tell(done: asyncio.Future[R], how: Callable[[A], None], what: A) -> None:
    """Settles a future of the loop, unless nobody waits for it any more."""
    done.get_loop().call_soon_threadsafe(lambda: None if done.done() else how(what))
