"""Watches monitors: when one is gone, its container has ended or has lost its monitor.

conmon writes the exit code and ends within a millisecond after that; killed, it ends without. So
its pidfd alone tells both apart, and the moment: when it fires, the exit file is there or never
will be, and the log is complete. Needs a running event loop.
"""

import asyncio
import os
from collections.abc import Callable

from hostkit import pidfd


class Monitors:
    """The pidfds of all monitors that are being watched, by container."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def watch(self, id: str, monitor: pidfd.ProcessId, gone: Callable[[str], None]) -> None:
        """Calls `gone(id)` once, soon, when the monitor is gone, or has been all along."""
        loop = asyncio.get_running_loop()
        fd = pidfd.open_process(monitor)
        if fd is None:
            loop.call_soon(gone, id)
            return
        self._fds[id] = fd
        loop.add_reader(fd, self._fired, id, gone)

    def forget(self, id: str) -> None:
        """Stops watching; the callback comes no more."""
        fd = self._fds.pop(id, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        """Stops watching all."""
        for id in list(self._fds):
            self.forget(id)

    def _fired(self, id: str, gone: Callable[[str], None]) -> None:
        pidfd.reap(self._fds[id])
        self.forget(id)
        gone(id)
