"""Ends of pipes and terminals under the event loop, read and written only as far as they can be.

Nothing is read ahead and nothing is kept: whoever does not ask holds back who writes, and the other
way round. Knows nothing of what passes through.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterator

_GONE = (errno.EIO, errno.EPIPE, errno.ECONNRESET)
"""What a terminal or pipe answers whose other side is gone."""


class Descriptor:
    """Owns a file descriptor that the kernel can wait for; not for regular files."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._open = True
        self._waiting: set[asyncio.Future[int]] = set()

    def take(self, limit: int) -> bytes | None:
        """What is there, at most `limit` bytes; empty at the end, None if there is nothing now."""
        if not self._open:
            return b""
        try:
            return os.read(self.fd, limit)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _GONE:
                return b""
            raise

    async def wait(self, *until: "asyncio.Future[int]", timeout: float | None = None) -> bool:
        """Whether there is something to take, or the end; False once one of `until` is done first,
        or after `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        with self._one_waits(loop.add_reader, loop.remove_reader) as ready:
            await asyncio.wait(
                {ready, *until}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            return ready.done()

    async def write(self, data: bytes) -> bool:
        """Writes all of it, once there is room; False if nobody will read it."""
        rest = memoryview(data)
        while rest:
            if not self._open:
                return False
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                await self._wait_for_room()
            except OSError as error:
                if error.errno in _GONE:
                    return False
                raise
        return True

    def close(self) -> None:
        """Lets go of it, and of whoever waits for it; may be called again."""
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.fd)
        loop.remove_writer(self.fd)
        self._open = False
        with contextlib.suppress(OSError):
            os.close(self.fd)
        for ready in self._waiting:
            _resolve(ready)

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        with self._one_waits(loop.add_writer, loop.remove_writer) as ready:
            await ready

    @contextlib.contextmanager
    def _one_waits(
        self, add: Callable[..., None], remove: Callable[[int], bool]
    ) -> Iterator["asyncio.Future[int]"]:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if not self._open:
            _resolve(ready)
            yield ready
            return
        self._waiting.add(ready)
        add(self.fd, _resolve, ready)
        try:
            yield ready
        finally:
            self._waiting.discard(ready)
            if self._open:
                remove(self.fd)


def _resolve(future: "asyncio.Future[int]") -> None:
    if not future.done():
        future.set_result(0)
