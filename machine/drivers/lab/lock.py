"""The lock of the whole machine: one cluster test or benchmark at a time.

The kernel frees it when its holder ends, however that happens.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import clock

MACHINE_LOCK = Path("/run/swarm-lab.lock")
_STEP = 0.1


@contextlib.contextmanager
def machine_lock(
    what: str,
    *,
    timeout: float = 3600.0,
    path: Path = MACHINE_LOCK,
    now: clock.Clock = clock.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the machine for `what`, waiting up to `timeout` seconds; DEADLINE names the holder.

    Blocks, and so is meant for fixtures and scripts, not for an event loop.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = now() + timeout
        while not _taken(handle):
            if now() >= deadline:
                raise SwarmError(
                    Code.DEADLINE,
                    f"waited {timeout:g} s for this machine",
                    why=f"held by {path.read_text(encoding='utf-8').strip() or 'somebody'}",
                )
            sleep(_STEP)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{what} (pid {os.getpid()})\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
